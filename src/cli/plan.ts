import { stringify } from 'yaml';
import type { CampaignSpec } from '../domain/campaign.ts';
import { alikeLimit } from '../domain/first-failures.ts';
import type { Suggestion } from '../domain/trial.ts';
import { llmOptions, targetsOf } from '../llm/options.ts';
import { buildPrompt } from '../llm/prompt.ts';
import { shareOf } from '../llm/propose.ts';
import { firstPoints } from '../plan/first-points.ts';
import { type MachinePlan, machinePlan } from '../plan/machine.ts';
import { withWarmStart } from '../search/warm-start.ts';
import { admitCampaign } from '../spec/admit.ts';
import { formatDuration } from '../spec/durations.ts';
import { quoteCommand } from '../ssh/quote.ts';
import { readBundle } from '../systems/spool/bundle.ts';
import { plural, short } from '../view/format.ts';
import { tellingOrder, trialSummary } from '../view/parameters.ts';
import { commandOf } from './command-line.ts';
import type { Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';
import { jobScriptOf } from './render.ts';
import { sizeText } from './size-text.ts';

export interface PlanOptions extends CommonOptions {
  readonly points: number;
}

/**
 * `holdfast plan FILE`: what a campaign would do, without doing it: first points, command, code that travels, jobs, node-hours, what a language model would
 * be asked, every default. Needs no server and no login; nothing is written, sent or started.
 */
export async function plan(file: string, options: PlanOptions, io: CliIo): Promise<Exit> {
  const spec = await admitCampaign(file);
  const machine = await machinePlan(spec, { ...process.env, ...io.env });
  const points = firstPoints(spec, options.points, machine.trialsAtOnce);
  const bundle = spec.training.bundle === undefined ? undefined : await readBundle(spec.training.bundle);
  const script = spec.system.kind === 'pbs' ? await jobScriptOf(spec, io.env) : undefined;
  const llm = spec.llm === undefined ? undefined : llmPlan(spec, spec.llm, machine.trialsAtOnce);
  const [first] = points;
  const command =
    first === undefined
      ? undefined
      : commandOf(spec.training.command, { params: first.params, trial: 'trial-0001', python: machine.python });
  const code =
    bundle === undefined
      ? null
      : {
          folder: bundle.folder,
          files: bundle.files.length,
          bytes: bundle.files.reduce((sum, file) => sum + file.sizeBytes, 0),
          sha256: bundle.sha256,
        };
  const document = { file, machine, points, command: command ?? null, code, jobScript: script?.script ?? null, llm: llm ?? null, spec };
  print(io, options, document, planText(file, spec, machine, points, { command, code, script: script?.script, llm }));
  return 'ok';
}

interface Parts {
  readonly command: readonly string[] | undefined;
  readonly code: { readonly folder: string; readonly files: number; readonly bytes: number; readonly sha256: string } | null;
  readonly script: string | undefined;
  readonly llm: ReturnType<typeof llmPlan> | undefined;
}

function planText(file: string, spec: CampaignSpec, machine: MachinePlan, points: readonly Suggestion[], parts: Parts): string {
  const { command, code, script, llm } = parts;
  const order = tellingOrder(spec.space);
  const { objectives, sampler, warmStart, deploy } = spec;
  const goal = objectives.map(({ metric, direction }) => `${direction} ${metric}`).join(', ');
  return [
    `${file}: ${goal}. Nothing is started by this command.`,
    '',
    `system   ${machine.system} (${machine.kind}), ${plural(machine.trialsAtOnce, 'trial')} at once${machine.base === undefined ? '' : `, launches in ${machine.base}`}`,
    ...jobLines(machine),
    ...(deploy === undefined ? [] : ['deploy   the plan named in the file is carried out first']),
    code === null
      ? 'code     none travels (training.bundle)'
      : `code     ${plural(code.files, 'file')}, ${sizeText(code.bytes)} of ${code.folder} (sha256 ${code.sha256.slice(0, 12)}…)`,
    `data     ${spec.training.dataDir ?? 'none named (data.dir)'}: stays where it is`,
    `results  ${spec.workingDirs.localBase}/${spec.workingDirs.launchIterationPattern}`,
    ...(command === undefined ? [] : [`command  ${quoteCommand(command)}`]),
    '',
    points.length === 0
      ? 'No point can be proposed.'
      : `first points (sampler ${sampler.type}, seed ${spec.seed}${warmStart === undefined ? '' : `, ${plural(warmStart.length, 'earlier result')} known`}); the later ones go by the results:`,
    ...points.map(
      ({ params, origin }, index) => `  ${String(index + 1).padStart(3)}  ${origin.padEnd(8)} ${trialSummary(params, 400, order)}`,
    ),
    ...(llm === undefined ? [] : ['', ...llmLines(llm)]),
    ...(script === undefined
      ? []
      : [
          '',
          'job script (whole, with its files: holdfast render-job --all):',
          ...indented(script.split('\n').filter((line) => line.startsWith('#PBS'))),
        ]),
    '',
    'limits and rules, defaults filled in:',
    ...indented(stringify(restOf(spec, machine)).trimEnd().split('\n')),
  ].join('\n');
}

/** What is told nowhere else in the plan, under the keys of the campaign file. */
const REST = [
  'budget',
  'stop',
  'limits',
  'retries',
  'pruner',
  'metricConstraints',
  'concurrency',
  'ramp',
  'spacingSeconds',
  'workingDirs',
  'allowDuplicates',
] as const;
const RENAMED: Readonly<Record<string, string>> = { wallSeconds: 'wall_time', spacingSeconds: 'spacing', isAdaptive: 'adaptive' };

function restOf(spec: CampaignSpec, { trialsAtOnce }: MachinePlan): unknown {
  const stop = { ...spec.stop, failuresAlike: spec.stop.failuresAlike ?? alikeLimit(spec.concurrency ?? trialsAtOnce) };
  const whole: CampaignSpec = { ...spec, stop };
  return fileKeys(Object.fromEntries(REST.flatMap((key) => (whole[key] === undefined ? [] : [[key, whole[key]]]))));
}

function fileKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fileKeys);
  if (typeof value !== 'object' || value === null) return value;
  const spelled = (key: string) => RENAMED[key] ?? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [spelled(key), fileKeys(entry)]));
}

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

function jobLines({ job, mostNodeHours, nodeHoursBecause }: MachinePlan): string[] {
  return [
    ...(job === undefined
      ? []
      : [
          `jobs     ${plural(job.nodes, 'node')} for ${formatDuration(job.walltimeSeconds)} in queue ${job.queue}${job.account === undefined ? '' : `, account ${job.account}`}: ${plural(job.slots, 'slot')}, ${short(job.nodeHours)} node-hours each; at most ${job.mostAtOnce} at once (${job.mode === 'job' ? 'one per trial' : 'pilots'})`,
        ]),
    ...(mostNodeHours === undefined
      ? job === undefined
        ? []
        : ['cost     not bounded: set budget.node_hours, or limits.trial_seconds with budget.trials']
      : [`cost     at most ${short(mostNodeHours)} node-hours (${nodeHoursBecause})`]),
  ];
}

/** What the language model is and would be asked, as if every initial trial had just ended without telling anything. */
function llmPlan(spec: CampaignSpec, llm: NonNullable<CampaignSpec['llm']>, trialsAtOnce: number) {
  const options = llmOptions(llm);
  const trials = withWarmStart(spec, []);
  const { factor } = shareOf({ objectives: spec.objectives, trials, count: 1 }, options);
  const prompt = buildPrompt({
    space: spec.space,
    objectives: spec.objectives,
    trials,
    count: trialsAtOnce,
    factor,
    notes: [],
    ...(spec.description === undefined ? {} : { description: spec.description }),
    ...(spec.metricConstraints === undefined ? {} : { metricConstraints: spec.metricConstraints }),
  });
  return {
    models: targetsOf(llm).map(({ baseUrl, model }) => ({ baseUrl, model })),
    initialSamples: options.initialSamples,
    share: options.share,
    budget: options.budget,
    prompt,
  };
}

function llmLines({ models, initialSamples, budget, prompt }: ReturnType<typeof llmPlan>): string[] {
  return [
    `language model, from trial ${initialSamples + 1} on, at most ${budget.calls} calls and ${budget.tokens} tokens: ${models.map(({ model, baseUrl }) => `${model} at ${baseUrl}`).join(', then ')}`,
    'asked with no result yet, it would read:',
    ...indented(`${prompt.system}\n${prompt.user}`.split('\n').map((line) => `| ${line}`)),
  ];
}
