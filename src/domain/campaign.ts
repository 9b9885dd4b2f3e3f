import type { NotifyTarget } from './notices.ts';
import type { Condition, Point, Space } from './space.ts';
import type { PackedParams } from './trial.ts';

/** An admitted campaign: what src/spec makes of the user's YAML or JSON, every default filled in. Travels through Temporal: no secrets, small. */
export interface CampaignSpec {
  readonly version: 1;
  /** Name for people; the workflow id is the campaign's identity. */
  readonly name: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly system: SystemChoice;
  readonly objectives: readonly Objective[];
  /** Conditions on final metrics, e.g. peak_memory_gb <= 40; a trial that breaks one is not feasible. */
  readonly metricConstraints?: readonly MetricConstraint[];
  readonly space: Space;
  readonly sampler: SamplerConfig;
  readonly pruner?: PrunerConfig;
  readonly llm?: LlmConfig;
  /** The user's own points, tried first. */
  readonly enqueue: readonly Point[];
  /** Results of earlier campaigns: samplers know them from the start; they are no trials of this campaign and use nothing of its budget. */
  readonly warmStart?: readonly KnownResult[];
  readonly training: TrainingConfig;
  /** What the system must have before the launch (row D9); shape: DeployPlan in src/spec/deploy-plan.ts. */
  readonly deploy?: Readonly<Record<string, unknown>>;
  readonly budget: Budget;
  readonly stop: StopRules;
  /** Trials in flight at most (running, offered or queued at the system). Absent: slots + prefetch of the system. */
  readonly concurrency?: number;
  /** A cautious start below `concurrency`; src/domain/ramp.ts says how many at once. Absent: all at once. */
  readonly ramp?: ConcurrencyRamp;
  /** Least seconds between two submissions (rows O5, O7). */
  readonly spacingSeconds?: number;
  readonly limits: TrialLimits;
  readonly retries: RetryBudgets;
  readonly workingDirs: WorkingDirs;
  /** Whom to tell of what; absent: nobody. */
  readonly notify?: readonly NotifyTarget[];
  readonly allowDuplicates: boolean;
  /** Seed of everything random in the campaign. */
  readonly seed: number;
}

/** The system that runs the trials: a kind and the profile's name. Site facts stay in the profile, read by the worker, not in the history. */
export interface SystemChoice {
  readonly name: string;
  readonly kind: 'local' | 'pbs' | 'globus_compute';
  /** Settings of the campaign for this system (queue, account, walltime, nodes, endpoint_id, …); shape per kind: src/spec/<kind>-settings.ts. */
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface Objective {
  readonly metric: string;
  readonly direction: 'maximize' | 'minimize';
  /** How a trial's curve becomes its value: the result's own number, the last report, or the best report. */
  readonly reduce: 'result' | 'last' | 'best';
  /** Stop the campaign when reached. */
  readonly target?: number;
}

export interface MetricConstraint {
  readonly metric: string;
  readonly op: '<=' | '>=';
  readonly bound: number;
}

export interface KnownResult {
  readonly params: PackedParams;
  /** One per objective, in their order. */
  readonly values: readonly number[];
  /** In the order of `metricConstraints`; null where the metric is not known. */
  readonly constraintValues?: readonly (number | null)[];
}

export interface SamplerConfig {
  readonly type: string;
  /** Random or quasi-random points before a model is used; absent: the sampler's own rule. */
  readonly initialPoints?: number;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface PrunerConfig {
  readonly type: string;
  /** Least and most steps (epochs) of a trial, and the factor between rungs. */
  readonly minSteps: number;
  readonly maxSteps: number;
  readonly reductionFactor: number;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface LlmConfig {
  readonly baseUrl: string;
  readonly model: string;
  /** `env:NAME` or a file name; never the key itself. */
  readonly apiKey?: string;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface TrainingConfig {
  /**
   * Words of the command, never a shell line. Placeholders inside words: {python} {code} {out} {params_file} {data_dir} {trial} {attempt} {slot}
   * and {<parameter>} for every parameter of the space.
   */
  readonly command: readonly string[];
  /** Folder of code that travels, absolute or relative to the worker's folder; content-addressed on the system. */
  readonly bundle?: string;
  readonly env: Readonly<Record<string, string>>;
  readonly dataDir?: string;
  /** GPU tiles (slots) per trial. */
  readonly slots: number;
}

export interface Budget {
  readonly trials?: number;
  readonly nodeHours?: number;
  readonly wallSeconds?: number;
  /** ISO 8601 instant. */
  readonly deadline?: string;
}

export interface StopRules {
  /** Stop after this many finished trials in a row without an improvement of at least minDelta (failures don't count). */
  readonly patience?: number;
  readonly minDelta: number;
  readonly options?: Readonly<Record<string, unknown>>;
  /** rule windowed without a minDelta: a window that is as good as the one before is no gain. Absent in campaigns admitted before this was told apart. */
  readonly equalIsNoGain?: boolean;
  /** So many trials, the first of the campaign, that all failed with one class end it; 0: never. Absent: src/domain/first-failures.ts says how many. */
  readonly failuresAlike?: number;
}

/** The guide's initial_batch_size and adaptive_scaling. */
export interface ConcurrencyRamp {
  readonly initial: number;
  readonly isAdaptive: boolean;
}

export interface TrialLimits {
  /** Wall-clock seconds of one attempt. */
  readonly trialSeconds?: number;
  /** Kill when there was no report for factor × median gap between reports, never before minSeconds. 0 switches it off. */
  readonly hangFactor: number;
  readonly hangMinSeconds: number;
  /** Seconds between the request to stop and SIGTERM, and between SIGTERM and SIGKILL. */
  readonly graceSeconds: number;
  /** Size at which stdout and stderr are rotated, bytes (one old part is kept). */
  readonly logBytes: number;
}

export interface RetryBudgets {
  readonly infrastructure: number;
  readonly trial: number;
}

export interface WorkingDirs {
  /** Base folder on this computer; the launch folder lies in it. */
  readonly localBase: string;
  /** Base folder on the remote system (the guide's aurora_base). */
  readonly remoteBase?: string;
  /** {timestamp} {experiment_id} {campaign} */
  readonly launchIterationPattern: string;
  /** {job_id} */
  readonly jobPattern: string;
}

export type { Condition };
