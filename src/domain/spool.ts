import type { MetricConstraint, Objective, TrialLimits } from './campaign.ts';
import type { FailureClass } from './failures.ts';
import type { Point } from './space.ts';
import type { CurvePoint, FileReference } from './trial.ts';

/** The spool protocol's records, version 1: what travels between Holdfast and the agent. docs/spool.md tells the whole protocol. */

/** `<launch>/launch.json`: what all trials of a campaign share, and the lease that says whose launch folder this is. Keys are snake_case since Python reads them too. */
export interface LaunchRecord {
  readonly version: 1;
  readonly campaign: string;
  readonly launch: string;
  readonly system: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** sha256 of the training code's bundle, unpacked at `bundle/<sha256>`; null = none. */
  readonly bundle: string | null;
  readonly data_dir: string | null;
  readonly python: string;
  readonly slots_per_trial: number;
  readonly objectives: readonly Objective[];
  readonly metric_constraints: readonly MetricConstraint[];
  readonly limits: {
    readonly trial_seconds: number | null;
    readonly hang_factor: number;
    readonly hang_min_seconds: number;
    readonly grace_seconds: number;
    readonly log_bytes: number;
  };
  /** Working-dirs job pattern with {job_id}. */
  readonly job_pattern: string;
  /** Steps whose value is kept for the campaign's pruner, ascending; empty = none. */
  readonly report_steps: readonly number[];
  /** Who may write here (R37). */
  readonly owner: { readonly namespace: string; readonly workflow_id: string; readonly epoch: number };
}

export type Limits = TrialLimits;

/** `spool/ready/<trial>.<attempt>.json`, then `spool/claimed/<agent>/…`: one attempt offered. */
export interface OfferRecord {
  readonly version: 1;
  readonly campaign: string;
  readonly trial: string;
  readonly attempt: number;
  readonly params: Point;
  /** Attempt whose checkpoint/ this one goes on from; null = from the start. */
  readonly resume_from: number | null;
  /** Steps to train to in this attempt (multi-fidelity); null = the training's own. */
  readonly target_step: number | null;
}

export type DoneStatus = 'completed' | 'failed' | 'stopped' | 'returned';

/** `spool/done/<trial>.<attempt>.json`: an attempt's end. Written once, tmp + fsync + rename. Times are the node's clock, for people only; durations are monotonic. */
export interface DoneRecord {
  readonly version: 1;
  readonly campaign: string;
  readonly trial: string;
  readonly attempt: number;
  /** completed: exit 0 and an objective. stopped: ended by a stop file (values may be there). returned: given back free of charge. */
  readonly status: DoneStatus;
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly error: { readonly class: FailureClass; readonly message: string; readonly stage?: string; readonly evidence?: string } | null;
  /** One value per objective of the launch, in its order; null when there is none. */
  readonly values: readonly number[] | null;
  /** Last reported metrics and those of results.json, numbers only, at most 64. */
  readonly metrics: Readonly<Record<string, number>>;
  /** results.json says `"synthetic": true`: the training ran on generated data. Absent otherwise. */
  readonly synthetic?: true;
  /** results.json says `"is_final": true`: there is nothing more to train (early stopping, a shorter training), even below the target step. Absent otherwise. */
  readonly is_final?: true;
  /** First objective over steps, thinned to at most 64 points (rung steps are kept). */
  readonly curve: readonly CurvePoint[];
  readonly step: number | null;
  readonly started_at: number;
  readonly ended_at: number;
  readonly run_seconds: number;
  readonly pilot: string;
  readonly host: string;
  readonly slot: number;
  readonly resumed_from: number | null;
  readonly has_checkpoint: boolean;
  /** Relative to the launch folder. */
  readonly directory: string;
  readonly files: readonly { readonly path: string; readonly size: number; readonly sha256: string }[];
  /** So often the system itself ran the attempt again after the machine had failed it: charged like attempts of their own. Absent: never. */
  readonly retried?: number;
  /** What the site calls the work that ran it, where each attempt has one of its own: the task of a Globus Compute endpoint. */
  readonly native_id?: string;
}

/** `pilots/<pilot>/heartbeat.json` (pilots with several nodes: `heartbeat-<host>.json`): rewritten whole, by rename. */
export interface HeartbeatRecord {
  readonly version: 1;
  readonly pilot: string;
  readonly agent: string;
  readonly host: string;
  readonly pid: number;
  /** Increases by one with every beat: liveness without comparing clocks (R23). */
  readonly beat: number;
  readonly state: 'running' | 'draining' | 'ended';
  readonly slots: number;
  readonly busy: readonly BusySlot[];
  /** Seconds of slot time, since the agent's start: allocated and in use. */
  readonly allocated_slot_seconds: number;
  readonly busy_slot_seconds: number;
  readonly finished: number;
  readonly reason?: string;
}

export interface BusySlot {
  readonly trial: string;
  readonly attempt: number;
  readonly slot: number;
  readonly run_seconds: number;
  readonly step: number | null;
  readonly value: number | null;
  /** The first report at or beyond each of the report_steps reached so far. */
  readonly rungs: readonly CurvePoint[];
  /** Last reports, at most 16. */
  readonly recent: readonly CurvePoint[];
  /** As in the done record. */
  readonly native_id?: string;
}

/** Files of an ended attempt as its outcome names them. */
export function fileReferences(record: DoneRecord): FileReference[] {
  return record.files.map((file) => ({ path: file.path, sizeBytes: file.size, sha256: file.sha256 }));
}
