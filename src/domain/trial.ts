import type { FailureClass } from './failures.ts';
import type { ParameterValue, Point } from './space.ts';

/** States of a trial in the order in which they come; a trial never goes back in this list except by a new attempt. */
export const TRIAL_STATES = ['queued', 'offered', 'running', 'completed', 'pruned', 'failed', 'cancelled'] as const;
export type TrialState = (typeof TRIAL_STATES)[number];
export type FinalState = 'completed' | 'pruned' | 'failed' | 'cancelled';

/** Whether a trial has ended, whatever became of it. */
export function isFinal(state: TrialState): state is FinalState {
  return TRIAL_STATES.indexOf(state) >= TRIAL_STATES.indexOf('completed');
}

/** One reported value of the objective: [step, value]; steps are epochs or whatever the training counts. */
export type CurvePoint = readonly [step: number, value: number];

export interface FileReference {
  /** Relative to the trial's folder. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

export interface Failure {
  readonly class: FailureClass;
  /** One sentence a person can act on; at most 500 characters. */
  readonly message: string;
  /** Stage of the training (row E9), where it told us. */
  readonly stage?: string;
  /** Last lines of stderr or the scheduler's own words; at most 2,000 characters. */
  readonly evidence?: string;
}

/** Where a point came from: `random`, `sobol`, `grid`, `gp`, `tpe`, `llm`, `user` (enqueued), `default`, … */
export type Origin = string;

/** What the sampler proposes. */
export interface Suggestion {
  readonly params: Point;
  readonly origin: Origin;
  /** One line of reasoning (LLM) or of explanation. */
  readonly note?: string;
}

/** One row of a campaign's table: everything samplers, stop rules and reports need, nothing large. */
export interface TrialRow {
  /** 1, 2, 3, … in the order in which points were taken. */
  readonly number: number;
  readonly params: Point;
  readonly origin: Origin;
  readonly state: TrialState;
  /** One value per objective, in the order of the campaign's objectives. Absent for failed and cancelled trials. */
  readonly values?: readonly number[];
  /** Last reported step, where the training reported any. */
  readonly step?: number;
  /** Objective at rungs (multi-fidelity) and, where short, the whole curve. At most 64 points. */
  readonly curve?: readonly CurvePoint[];
  /** Values of the metrics that constraints on metrics name; NaN where one was not reported, which is null once the row went as JSON. */
  readonly constraintValues?: readonly (number | null)[];
  /** Its training ran on generated data, so its values say nothing about real ones. Absent otherwise. */
  readonly synthetic?: true;
  readonly attempts: number;
  /** Seconds of training, all attempts together. */
  readonly runSeconds?: number;
  /** Milliseconds since the epoch, workflow's clock. */
  readonly createdAt: number;
  readonly finishedAt?: number;
  readonly failure?: Failure;
  readonly note?: string;
}

/** What a trial workflow returns and reports to its campaign. */
export interface TrialOutcome {
  readonly number: number;
  readonly state: FinalState;
  readonly values?: readonly number[];
  readonly metrics?: Readonly<Record<string, number>>;
  readonly synthetic?: true;
  readonly curve?: readonly CurvePoint[];
  readonly step?: number;
  readonly attempts: number;
  readonly runSeconds: number;
  readonly startedAt?: number;
  readonly finishedAt: number;
  readonly failure?: Failure;
  /** The last attempt's folder, relative to the launch folder, and its files. */
  readonly directory?: string;
  readonly files?: readonly FileReference[];
  readonly host?: string;
  readonly slot?: number;
  readonly pilot?: string;
}

/** Values as the table's compact form keeps them: in the order of the space's parameters, null where inactive. */
export type PackedParams = readonly (ParameterValue | null)[];
