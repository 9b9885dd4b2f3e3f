import { endedWithValue, violationOf } from '../search/losses.ts';
import { trialsWithoutImprovement } from '../search/stop-rules.ts';
import type { CampaignSpec } from './campaign.ts';
import { trialName } from './ids.ts';
import type { Told } from './notices.ts';
import { savingOf } from './saved-hours.ts';
import type { Point } from './space.ts';
import type { BestTrial, CampaignPhase, CampaignStatus, LlmTotals, TrialCounts } from './status.ts';
import type { Launch } from './system-state.ts';
import { emptyTable, type PackedTable, packTable, type TrialTable, unpackTable } from './table.ts';
import { type CurvePoint, isFinal, type Suggestion, type TrialOutcome, type TrialRow } from './trial.ts';

/** Points of a curve that a row keeps; only campaigns with a pruner keep any. */
const MOST_CURVE_POINTS = 512;

/** What a campaign's workflow remembers. */
export interface CampaignState {
  readonly campaign: string;
  readonly startedAt: number;
  phase: CampaignPhase;
  spec?: CampaignSpec;
  hasSearchAttributes: boolean;
  launch?: { launch: string; directory: string; localDirectory: string };
  /** What the system was told of this campaign; said again when the system's workflow had to be brought back. */
  openLaunch?: Launch;
  /** Which life of the system's workflow heard of it; absent in states of earlier versions. */
  systemLife?: string | undefined;
  provenance: Readonly<Record<string, string>>;
  table: TrialTable;
  inFlight: Set<number>;
  concurrency: number;
  /** Changed by the user while it runs. */
  budget: CampaignSpec['budget'];
  /** The last mark of its node-hours that was passed, as its system says: 0.5 or 0.8. */
  nodeHoursShare?: number;
  /** Points to start next: the user's own first, then what the sampler gave ahead. */
  enqueued: Suggestion[];
  ahead: Suggestion[];
  /** What people were told already (`notify`). */
  told?: Told;
  /** Failed trials that a person wants to run again, as soon as there is room, with the end that they have if there never is. */
  again?: FailedEnd[];
  samplerState?: Readonly<Record<string, unknown>>;
  isExhausted: boolean;
  /** With a spacing: nothing starts before this instant (milliseconds, workflow's clock). */
  nextStartAt?: number;
  /** Rows before this one say nothing of the training as it is now: a person has resumed after a pause. */
  judgedFrom?: number;
  /** Asked to pause before it could start. */
  isPauseAsked?: boolean;
  /** The user has said how many may be in flight before that of the file, or of the system, was known. */
  isConcurrencySet?: boolean;
  /** Pruner's memory: trial → highest rung at which it was let through (or ended). */
  decided: Record<number, number>;
  /** Rungs were reached or trials ended since the pruner was asked; the next run asks it when this one goes on as new. */
  mustJudge?: boolean;
  /** Paused trials would go on, but the campaign itself is paused: it is not over then, and the pruner is asked again when it is resumed. */
  hasHeldPromotions?: boolean;
  stopReason?: string;
  /** By topic, in words a person can act on. */
  notices: Record<string, string>;
  /** Rows finished when the last report was written. */
  reportedAt: number;
  lastAttributes?: string;
}

/** How a trial had ended before it was asked for again. */
export type FailedEnd = Pick<TrialRow, 'number' | 'state' | 'failure' | 'finishedAt'>;

/** A campaign before it has read its file; `startedAt` in milliseconds. */
export function newCampaignState(campaign: string, startedAt: number): CampaignState {
  return {
    campaign,
    startedAt,
    phase: 'preparing',
    hasSearchAttributes: false,
    provenance: {},
    table: emptyTable(),
    inFlight: new Set(),
    concurrency: 1,
    budget: {},
    enqueued: [],
    ahead: [],
    isExhausted: false,
    decided: {},
    notices: {},
    reportedAt: 0,
  };
}

/** The state as it travels through continue-as-new. */
export interface CampaignCarry extends Omit<CampaignState, 'table' | 'inFlight' | 'spec'> {
  readonly spec: CampaignSpec;
  readonly table: PackedTable;
  readonly inFlight: readonly number[];
}

/** The state as continue-as-new takes it along. */
export function carry(state: CampaignState, spec: CampaignSpec): CampaignCarry {
  return { ...state, spec, table: packTable(state.table, spec.space), inFlight: [...state.inFlight] };
}

/** The state from what continue-as-new took along. */
export function revive(carried: CampaignCarry): CampaignState {
  return { ...carried, table: unpackTable(carried.table, carried.spec.space), inFlight: new Set(carried.inFlight) };
}

/** The table's row of a new trial. */
export function newRow(number: number, suggestion: Suggestion, now: number): TrialRow {
  return {
    number,
    params: suggestion.params,
    origin: suggestion.origin,
    state: 'queued',
    attempts: 0,
    createdAt: now,
    ...(suggestion.note === undefined ? {} : { note: suggestion.note }),
  };
}

/** What a trial's outcome changes in its row. Curves are kept only where the campaign's pruner needs them. */
export function outcomeChange(spec: CampaignSpec, row: TrialRow, outcome: TrialOutcome): Partial<TrialRow> {
  const constraintValues = (spec.metricConstraints ?? []).map((constraint) => outcome.metrics?.[constraint.metric] ?? Number.NaN);
  return {
    state: outcome.state,
    attempts: outcome.attempts,
    runSeconds: outcome.runSeconds,
    finishedAt: outcome.finishedAt,
    ...(outcome.values === undefined ? {} : { values: outcome.values }),
    ...(outcome.step === undefined ? {} : { step: outcome.step }),
    ...(outcome.failure === undefined ? {} : { failure: outcome.failure }),
    ...(spec.pruner !== undefined && outcome.curve !== undefined ? { curve: mergeCurves(row.curve, outcome.curve) } : {}),
    ...(constraintValues.length > 0 ? { constraintValues } : {}),
    ...(outcome.synthetic === undefined ? {} : { synthetic: outcome.synthetic }),
  };
}

/** A trial's curve over its attempts: an attempt that goes on from a checkpoint reports only its own steps. */
export function mergeCurves(earlier: readonly CurvePoint[] | undefined, later: readonly CurvePoint[]): CurvePoint[] {
  const values = new Map([...(earlier ?? []), ...later]);
  return [...values].sort(([a], [b]) => a - b).slice(-MOST_CURVE_POINTS);
}

/** Trials by what became of them; `queued` are all that have not ended. */
export function countsOf(rows: readonly TrialRow[]): TrialCounts {
  const counts = { total: rows.length, queued: 0, completed: 0, pruned: 0, failed: 0, cancelled: 0 };
  for (const row of rows) counts[isFinal(row.state) ? row.state : 'queued'] += 1;
  return counts;
}

/** The best completed trials, best first, by the first objective; trials that break a constraint on a metric come last and are left out while others exist. */
export function bestOf(spec: CampaignSpec, rows: readonly TrialRow[], count: number): BestTrial[] {
  const sign = spec.objectives[0]?.direction === 'minimize' ? 1 : -1;
  const done = rows.filter((row) => row.state === 'completed' && row.values !== undefined);
  const feasible = done.filter((row) => violationOf(spec.metricConstraints, row) === 0);
  return (feasible.length > 0 ? feasible : done)
    .sort((a, b) => sign * ((a.values?.[0] ?? 0) - (b.values?.[0] ?? 0)) || a.number - b.number)
    .slice(0, count)
    .map((row) => ({
      number: row.number,
      trial: trialName(row.number),
      values: row.values ?? [],
      params: row.params,
      origin: row.origin,
      ...(row.step === undefined ? {} : { step: row.step }),
      ...(row.finishedAt === undefined ? {} : { finishedAt: row.finishedAt }),
      ...(row.synthetic === undefined ? {} : { synthetic: row.synthetic }),
      ...(feasible.length > 0 ? {} : { infeasible: true }),
    }));
}

/** Ended trials in a row, the newest ones, that brought no improvement: what `stop.patience` counts. */
function sinceImprovement({ objectives, metricConstraints, stop }: CampaignSpec, rows: readonly TrialRow[]): number {
  const kept = endedWithValue(objectives, rows).filter(({ trial }) => violationOf(metricConstraints, trial) === 0);
  return trialsWithoutImprovement(
    kept.map(({ losses }) => losses),
    stop.minDelta,
  );
}

/** What the `status` query answers; `now` in milliseconds of the workflow's clock. O(rows). */
export function statusOf(state: CampaignState, now: number): CampaignStatus {
  const { spec } = state;
  const rows = state.table.rows;
  const counts = countsOf(rows);
  const judged = counts.completed + counts.failed;
  const best = spec === undefined ? undefined : bestOf(spec, rows, 1)[0];
  const saving = spec === undefined ? undefined : savingOf(spec, rows, state.provenance);
  return {
    campaign: state.campaign,
    name: spec?.name ?? state.campaign,
    system: spec?.system.name ?? '',
    phase: state.phase,
    headline: headlineOf(state, counts),
    startedAt: state.startedAt,
    elapsedSeconds: (now - state.startedAt) / 1000,
    counts,
    concurrency: state.concurrency,
    budget: state.budget,
    objectives: spec?.objectives ?? [],
    ...(spec?.metricConstraints === undefined ? {} : { metricConstraints: spec.metricConstraints }),
    ...(best === undefined ? {} : { best }),
    ...(judged === 0 ? {} : { successRate: counts.completed / judged }),
    sinceImprovement: spec === undefined ? 0 : sinceImprovement(spec, rows),
    queuedPoints: state.enqueued.length,
    inFlight: [...state.inFlight],
    trainingHours: (rows.reduce((sum, row) => sum + (row.runSeconds ?? 0), 0) * (spec?.training.slots ?? 1)) / 3600,
    problems: Object.values(state.notices),
    ...(state.stopReason === undefined ? {} : { stopReason: state.stopReason }),
    ...(state.launch === undefined ? {} : { resultsDirectory: state.launch.localDirectory }),
    ...(saving === undefined ? {} : { savedHours: saving.slotHours }),
    ...(saving?.nodeHours === undefined ? {} : { savedNodeHours: saving.nodeHours }),
    ...(typeof state.samplerState?.regret === 'number' ? { regretBound: state.samplerState.regret } : {}),
    ...(spec?.llm === undefined ? {} : { llm: llmTotals(state, spec.llm) }),
    tableVersion: state.table.version,
  };
}

/** Calls and tokens as the proposer counts them in the state that the campaign carries for it. */
function llmTotals({ samplerState, table }: CampaignState, { options }: NonNullable<CampaignSpec['llm']>): LlmTotals {
  const carried = samplerState?.llm as { readonly usage?: Pick<LlmTotals, 'calls' | 'promptTokens' | 'completionTokens'> } | undefined;
  const { calls = 0, promptTokens = 0, completionTokens = 0 } = carried?.usage ?? {};
  const limit = options.budget as LlmTotals['limit'];
  return {
    calls,
    promptTokens,
    completionTokens,
    ...(limit === undefined ? {} : { limit }),
    trials: table.rows.filter((row) => row.origin === 'llm').length,
  };
}

const PHASE_WORDS: Record<CampaignPhase, (state: CampaignState, counts: TrialCounts) => string> = {
  preparing: (state) =>
    state.spec === undefined
      ? 'reading the campaign file'
      : `staging code on ${state.spec.system.name} (waits for its worker when there is none)${state.isPauseAsked ? ', then paused as asked' : ''}`,
  running: (_state, counts) =>
    counts.queued > 0 ? `waiting for ${counts.queued} trial${counts.queued === 1 ? '' : 's'} in flight` : 'choosing the next points',
  paused: (_state, counts) => `paused by the user; ${counts.queued} in flight go on. Signal resume to continue`,
  draining: (state, counts) => `finishing ${counts.queued} trial${counts.queued === 1 ? '' : 's'}: ${state.stopReason ?? 'asked to drain'}`,
  stopping: (state, counts) => `stopping ${counts.queued} trial${counts.queued === 1 ? '' : 's'}: ${state.stopReason ?? 'asked to stop'}`,
  cancelling: (_state, counts) => `cancelled: ending ${counts.queued} trial${counts.queued === 1 ? '' : 's'} on the system first`,
  reporting: () => 'writing the report',
  ended: (state) => state.stopReason ?? 'ended',
};

function headlineOf(state: CampaignState, counts: TrialCounts): string {
  return PHASE_WORDS[state.phase](state, counts);
}

/** The user's own points as suggestions. */
export function userSuggestions(points: Point | readonly Point[]): Suggestion[] {
  return (Array.isArray(points) ? (points as readonly Point[]) : [points as Point]).map((params) => ({ params, origin: 'user' }));
}
