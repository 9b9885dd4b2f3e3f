import { type Compared, type Comparison, compareCampaigns, type Difference, differingSettings, type Standing } from '../report/compare.ts';
import { loadProfile } from '../spec/load-profile.ts';
import { columns, measured, plural } from '../view/format.ts';
import { valueMarks } from '../view/synthetic.ts';
import { clip } from '../view/width.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';
import { directed, type ReadCampaign, readCampaigns } from './read-campaign.ts';

export interface CompareOptions extends CommonOptions {
  /** The value that regret is measured from; default: the best of all campaigns. */
  readonly optimum?: number;
  /** For tables that lie without their campaign. */
  readonly direction?: 'minimize' | 'maximize';
}

/** `holdfast compare A B …`: campaigns or results folders with the same objective, at equal trials and equal hours, and the settings in which they differ. */
export async function compare(names: readonly string[], options: CompareOptions, io: CliIo): Promise<Exit> {
  if (names.length < 2)
    throw new CliError('usage', 'HF-USAGE', 'A comparison needs two campaigns at least: `holdfast compare digits-1 digits-2`.');
  const { direction } = options;
  if (direction !== undefined && direction !== 'minimize' && direction !== 'maximize')
    throw new CliError('usage', 'HF-USAGE', `--direction ${String(direction)} is not known. Choose minimize or maximize.`);
  const read = (await readCampaigns(names)).map((one) => directed(one, direction));
  const unknown = read.find((one) => !one.isDirectionKnown);
  if (unknown !== undefined)
    throw new CliError(
      'usage',
      'HF-NO-DIRECTION',
      `${unknown.campaign} is a table without its campaign: say --direction minimize or --direction maximize.`,
    );
  refuseOthers(read);
  const comparison = compareCampaigns(
    read.map((one) => ({ ...one, slots: one.spec?.training.slots ?? 1, ...slotsPerNode(one, io) })),
    options.optimum,
  );
  const specs = read.flatMap((one) => one.spec ?? []);
  const differences = specs.length === read.length ? differingSettings(specs) : undefined;
  const objectives = read[0]?.objectives ?? [];
  const json = {
    objectives: objectives.map(({ metric, direction: way }) => ({ metric, direction: way })),
    ...comparison,
    differences: differences ?? null,
  };
  print(io, options, json, text(comparison, read, differences).join('\n'));
  return 'ok';
}

function refuseOthers(read: readonly ReadCampaign[]): void {
  const [first] = read;
  const goal = (one: ReadCampaign) => one.objectives.map(({ metric, direction }) => `${direction} ${metric}`).join(', ') || 'none';
  const other = read.find((one) => first !== undefined && goal(one) !== goal(first));
  if (first === undefined || other === undefined) return;
  throw new CliError(
    'usage',
    'HF-NOT-COMPARABLE',
    `${first.campaign} and ${other.campaign} have different objectives (${goal(first)}; ${goal(other)}). Compare campaigns with the same one.`,
  );
}

/** Trials at once on a node, where nodes are what is paid for: PBS. */
function slotsPerNode({ spec }: ReadCampaign, io: CliIo): { readonly slotsPerNode?: number } {
  if (spec?.system.kind !== 'pbs') return {};
  const { slotsPerNode: own } = spec.system.settings;
  if (typeof own === 'number') return { slotsPerNode: own };
  try {
    const profile = loadProfile(spec.system.name, { env: io.env });
    return profile.kind === 'pbs' ? { slotsPerNode: profile.slots.perNode } : {};
  } catch (error) {
    // The profile may not be on this computer: hours of slots then.
    io.errors.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return {};
  }
}

const WIDEST_VALUE = 40;

function text(comparison: Comparison, read: readonly ReadCampaign[], differences: readonly Difference[] | undefined): string[] {
  const { campaigns, equalTrials, equalHours, hours, measure, reference } = comparison;
  const goal = read[0]?.objectives.map(({ metric, direction }) => `${direction} ${metric}`).join(', ') ?? '';
  const value = (standing: Standing) => (standing.value === null ? '–' : measured(standing.value));
  const regret = (standing: Standing) => (standing.regret === null ? '–' : measured(standing.regret));
  const table = columns([
    [
      'campaign',
      'state',
      'trials',
      'failed',
      hours,
      measure,
      'in trial',
      `at ${plural(equalTrials, 'trial')}`,
      'regret',
      `at ${measured(equalHours)} h`,
      'regret',
    ],
    ...campaigns.map((one, index) => [
      one.campaign,
      read[index]?.status ?? '',
      String(one.end.trials),
      String(one.failed),
      measured(one.end.hours),
      value(one.end),
      measure === 'hypervolume' ? `front of ${one.front}` : one.best === null ? '–' : `${one.best.number}${valueMarks(one.best)}`,
      value(one.atEqualTrials),
      regret(one.atEqualTrials),
      value(one.atEqualHours),
      regret(one.atEqualHours),
    ]),
  ]);
  return [
    `${goal}; regret from ${reference === null ? 'nothing yet' : measured(reference)}`,
    ...table,
    '',
    ...verdicts(comparison),
    '',
    `${measure} so far by ended trials:`,
    ...columns([
      ['trials', ...campaigns.map((one) => one.campaign)],
      ...trajectoryRows(campaigns).map(([trials, ...values]) => [String(trials), ...values]),
    ]),
    '',
    ...differenceText(campaigns, differences),
  ];
}

function trajectoryRows(campaigns: readonly Compared[]): [number, ...string[]][] {
  const steps = [...new Set(campaigns.flatMap((one) => one.trajectory.map(({ trials }) => trials)))].sort((a, b) => a - b);
  return steps.map((step) => [
    step,
    ...campaigns.map((one) => {
      const at = one.trajectory.find(({ trials }) => trials === step);
      return at === undefined ? '' : at.value === null ? '–' : measured(at.value);
    }),
  ]);
}

/** Who is ahead, in a sentence for each kind of equality. */
function verdicts({ campaigns, equalTrials, equalHours, hours }: Comparison): string[] {
  const say = (at: (one: Compared) => Standing, when: string): string => {
    const known = campaigns.flatMap((one) => {
      const { regret } = at(one);
      return regret === null ? [] : [{ campaign: one.campaign, regret }];
    });
    const [first, second] = [...known].sort((a, b) => a.regret - b.regret);
    if (first === undefined) return `${when}: no result yet.`;
    if (second === undefined) return `${when}: only ${first.campaign} has a result.`;
    if (first.regret === second.regret)
      return `${when}: ${known
        .filter(({ regret }) => regret === first.regret)
        .map(({ campaign }) => campaign)
        .join(' and ')} are level.`;
    return `${when}: ${first.campaign} is ahead of ${second.campaign} by ${measured(second.regret - first.regret)}.`;
  };
  return [
    say((one) => one.atEqualTrials, `At ${plural(equalTrials, 'trial')} each`),
    say((one) => one.atEqualHours, `At ${measured(equalHours)} ${hours} of training each`),
  ];
}

function differenceText(campaigns: readonly Compared[], differences: readonly Difference[] | undefined): string[] {
  if (differences === undefined) return ['Settings are not compared: a results folder lacks campaign.json.'];
  if (differences.length === 0) return ['All settings are the same.'];
  return [
    'Settings that differ:',
    ...columns([
      ['key', ...campaigns.map((one) => one.campaign)],
      ...differences.map(({ key, values }) => [key, ...values.map((each) => (each === null ? '–' : clip(each, WIDEST_VALUE)))]),
    ]),
  ];
}
