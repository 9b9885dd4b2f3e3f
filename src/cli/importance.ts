import { measuredShares } from '../report/importance.ts';
import { LEAST_TRIALS } from '../search/importance.ts';
import { endedWithValue, feasibleOrAll, violationOf } from '../search/losses.ts';
import { quantileImportances } from '../search/ped-anova.ts';
import { compileSpace } from '../search/space.ts';
import { columns, percent, plural, short } from '../view/format.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';
import { directed, type ReadCampaign, readCampaigns, spaceOf } from './read-campaign.ts';

export interface ImportanceOptions extends CommonOptions {
  /** Metric of an objective; default: the first. */
  readonly objective?: string;
  /** File with the search space, for a table that lies without its campaign. */
  readonly space?: string;
  /** For tables that lie without their campaign. */
  readonly direction?: 'minimize' | 'maximize';
  /** What matters for being among this best share of the trials, instead of for the objective as a whole. */
  readonly quantile?: number;
}

/** Fewer results than this are worth a warning. */
const FEW_TRIALS = 20;
const BAR_WIDTH = 20;

/** `holdfast importance [CAMPAIGN or FOLDER]`: how much of the objective each parameter explains, and where the best fifth of the trials lies. */
export async function importance(name: string | undefined, options: ImportanceOptions, io: CliIo): Promise<Exit> {
  const [found] = await readCampaigns([name]);
  if (found === undefined) throw new Error('no campaign was read');
  const objective = objectiveIndex(found, options.objective);
  const { space, isGuessed, objectives } = await spaceOf(found, options.space);
  const wanted = found.objectives[objective]?.metric;
  const read = directed(found, options.direction ?? objectives?.find(({ metric }) => metric === wanted)?.direction);
  const ended = endedWithValue(read.objectives, read.rows).filter(({ trial }) => trial.state === 'completed');
  const metric = read.objectives[objective]?.metric ?? '';
  if (ended.length < LEAST_TRIALS)
    throw new CliError(
      'failed',
      'HF-FEW-RESULTS',
      `${read.campaign} has ${plural(ended.length, 'result')}${metric === '' ? '' : ` of ${metric}`}; importance needs at least ${LEAST_TRIALS}.`,
    );
  const trials = ended.map(({ trial }) => trial);
  const { quantile } = options;
  if (quantile !== undefined && !(quantile > 0 && quantile < 1))
    throw new CliError('usage', 'HF-USAGE', `--quantile ${quantile} is no share between 0 and 1. For example: --quantile 0.1`);
  const question = { space, objectives: read.objectives, trials, seed: read.spec?.seed ?? 0, objective };
  const constraints = read.metricConstraints === undefined ? {} : { metricConstraints: read.metricConstraints };
  const shares = quantile === undefined ? await measuredShares(question) : quantileImportances({ ...question, quantile, ...constraints });
  const method = quantile === undefined ? 'fANOVA' : `PED-ANOVA, best ${percent(quantile)}`;
  const regions = bestRegions(compileSpace(space), feasibleOrAll(read.metricConstraints, ended), objective);
  const parameters = shares.map(({ name: parameter, share }) => ({ name: parameter, share, best: regions.get(parameter) ?? [] }));
  const warnings = [
    ...(isGuessed ? ['The search space was guessed from the points; --space FILE gives the true one.'] : []),
    ...(read.isDirectionKnown
      ? []
      : [`Whether ${metric} is to be large or small is not known: large was taken for best; --direction minimize says otherwise.`]),
    ...(ended.some(({ trial }) => violationOf(read.metricConstraints, trial) === 0)
      ? []
      : ['No trial keeps all metric_constraints: the best ones are those of all trials.']),
    ...(ended.length < FEW_TRIALS ? [`Only ${plural(ended.length, 'result')}: read with care.`] : []),
  ];
  const table = columns([
    ['parameter', 'share', '', 'best fifth of the trials'],
    ...parameters.map(({ name: parameter, share, best }) => [
      parameter,
      percent(share),
      '█'.repeat(Math.round(share * BAR_WIDTH)),
      typeof best[0] === 'number' && best.length === 2 && !isListed(space, parameter)
        ? `${short(best[0])} to ${short(best[1])}`
        : best.map(short).join(', '),
    ]),
  ]);
  const text = [
    `${metric} of ${read.campaign}, ${plural(ended.length, 'result')} (${method})`,
    ...(parameters.length === 0
      ? ['No parameter explains anything: all results are equal, or the good ones lie as all others do.']
      : table),
    ...warnings.map((warning) => `! ${warning}`),
  ].join('\n');
  print(
    io,
    options,
    {
      campaign: read.campaign,
      objective: metric,
      method: quantile === undefined ? 'fanova' : 'ped-anova',
      results: ended.length,
      parameters,
      warnings,
    },
    text,
  );
  return 'ok';
}

function objectiveIndex({ campaign, objectives }: ReadCampaign, metric: string | undefined): number {
  if (metric === undefined) return 0;
  const index = objectives.findIndex((objective) => objective.metric === metric);
  const known = objectives.map((objective) => objective.metric).join(', ');
  if (index < 0) throw new CliError('usage', 'HF-USAGE', `--objective ${metric} is no objective of ${campaign}. It has: ${known}.`);
  return index;
}

function isListed(space: { readonly parameters: readonly { readonly name: string; readonly type: string }[] }, name: string): boolean {
  return space.parameters.some((parameter) => parameter.name === name && parameter.type === 'categorical');
}

type Ended = Readonly<ReturnType<typeof endedWithValue>>;

/** Where the best fifth (two at least) of the trials lies: least and most of numbers and ordinals, the values of categories in order of their frequency. */
function bestRegions(
  compiled: ReturnType<typeof compileSpace>,
  ended: Ended,
  objective: number,
): Map<string, (string | number | boolean)[]> {
  const count = Math.max(2, Math.ceil(ended.length / 5));
  const best = [...ended].sort((a, b) => (a.losses[objective] as number) - (b.losses[objective] as number)).slice(0, count);
  return new Map(
    compiled.dimensions.map((dimension) => {
      const values = best.flatMap(({ trial }) => trial.params[dimension.name] ?? []);
      const unique = [...new Set(values)];
      const often = (value: unknown) => values.filter((other) => other === value).length;
      if (dimension.kind === 'categorical') return [dimension.name, unique.sort((a, b) => often(b) - often(a))];
      const sorted = unique.sort((a, b) => dimension.codeOf(a) - dimension.codeOf(b));
      return [dimension.name, sorted.length < 2 ? sorted : [sorted[0], sorted.at(-1)].flatMap((value) => value ?? [])];
    }),
  );
}
