import type { CampaignSpec } from '../domain/campaign.ts';
import type { HealthFinding } from '../domain/health.ts';
import type { BusySlot, DoneRecord, LaunchRecord } from '../domain/spool.ts';
import type { PilotSeen, PilotStart, PreparedLaunch, SystemDescription, SystemOrder } from '../domain/system.ts';
import type { RemoteShell } from '../ssh/transport.ts';

export type { PilotSeen, PilotStart, PreparedLaunch, SystemDescription, SystemOrder };

/**
 * What every system (local, PBS, Globus Compute) offers to the activities. The workflow of a system decides; a driver carries out.
 * Every call is at-least-once and must have an exactly-once effect: names are deterministic, a repeated call finds what the first one did.
 */
export interface SystemDriver {
  readonly name: string;
  readonly kind: 'local' | 'pbs' | 'globus_compute';

  /**
   * Told before anything else whose campaigns it runs: the id of the server's namespace. Two servers of one person (two clones, `dev --folder`) may both
   * have a digits-1. Absent: the driver remembers nothing on this computer that another server's worker would read.
   */
  serve?(namespaceId: string): void;

  /** Facts the workflow plans with. Cheap; no login. */
  describe(): Promise<SystemDescription>;

  /** How a campaign's deploy plan reaches the system before its launch; absent: it cannot. Connects to nothing yet. Throws DriverError. */
  deployTarget?(spec: CampaignSpec): DeployTarget;

  /**
   * Makes the launch folder: bundle and agent staged and verified, launch.json written, registered for the look. Safe to repeat. Throws DriverError.
   * Long waits end with `signal`: the campaign was asked to end, and nothing is registered then.
   */
  prepareLaunch(plan: LaunchPlan, progress: (note: string) => void, signal?: AbortSignal): Promise<PreparedLaunch>;

  /** Carries out a batch of orders in one exchange; each is repeatable. */
  send(orders: readonly SystemOrder[]): Promise<SentOrders>;

  /** Starts one pilot (an agent on this computer, a batch job). The pilot's name is its idempotency key. Systems without pilots never get this call. */
  startPilot(request: PilotRequest): Promise<PilotStart>;

  /**
   * One look at everything: what ended, what runs, what became of pilots. `acks` are done records that the workflow has taken in: they leave
   * `spool/done` (to `spool/collected`) before the look. Returns undefined when nothing has changed since `cursor`; the activity then ends with
   * a BENIGN failure and comes back after `interval`. A driver that can wait cheaply (local) waits up to `waitSeconds` first.
   */
  look(request: LookRequest, signal: AbortSignal): Promise<LookResult | undefined>;

  /** Fetches an ended attempt's files to this computer and checks their sha256; a no-op where the launch folder is here. Resumable. */
  collect(campaign: string, record: DoneRecord, localLaunchDirectory: string): Promise<void>;

  /** Ends everything of one campaign on the system (pilots, processes, registration) and confirms it. */
  closeLaunch(campaign: string): Promise<void>;

  /**
   * Of these campaigns, those that this driver should know and does not, or whose rebuilding was cut off. Absent (with the next two): the driver keeps
   * no facts of its own.
   */
  lost?(campaigns: readonly string[]): Promise<readonly string[]>;

  /** Finds again what it can of a lost campaign: nothing is started by it, and what is offered later is looked up before it is sent. */
  rebuild?(memory: LaunchMemory): Promise<void>;

  /** The attempts in flight of a rebuilt campaign have been asked for again. */
  recalled?(campaign: string): Promise<void>;

  /**
   * What a scheduled check finds of the system itself (login, service, versions), without running anything on it; a finding is no error. Absent: the
   * kind has nothing that its look does not show. `endpoint`: one more to watch than those in use.
   */
  health?(endpoint?: string): Promise<readonly HealthFinding[]>;
}

/** What a campaign's history says of its launch. */
export interface LaunchMemory {
  readonly campaign: string;
  readonly spec: CampaignSpec;
  readonly launch: string;
  readonly directory: string;
  readonly localDirectory: string;
  /** As `PreparedLaunch.provenance`. */
  readonly provenance: Readonly<Record<string, string>>;
  /** Attempts that were in flight (`trial-0007.1`): each may have been sent. */
  readonly attempts: readonly string[];
}

/** Reason of a stop order that only asks whether an attempt is known (`unknown`: it is offered anew); it ends nothing. */
export const RECALL_REASON = 'holdfast: asked whether this attempt is still known';

export interface DeployTarget {
  readonly shell: RemoteShell;
  /** Shell lines before each step, unless the plan has its own. */
  readonly setup: readonly string[];
  readonly python: string;
  /** Seconds between two questions whether a step has ended; default: deploy's. */
  readonly pollSeconds?: number;
}

export interface LaunchPlan {
  readonly campaign: string;
  /** Name of the launch folder, decided once by the workflow. */
  readonly launch: string;
  readonly spec: CampaignSpec;
  readonly owner: LaunchRecord['owner'];
  readonly reportSteps: readonly number[];
}

export interface SentOrders {
  /** Per order, in order. `done`: an end of that attempt is already on record (it comes with the next look). */
  readonly answers: readonly ('offered' | 'withdrawn' | 'stopping' | 'done' | 'unknown')[];
}

export interface PilotRequest {
  readonly pilot: string;
  readonly campaign: string;
  /** Shape of the pilot; the driver's profile gives the defaults. */
  readonly nodes?: number;
  readonly walltimeSeconds?: number;
}

export interface LookRequest {
  /** What the workflow knows; the driver answers with differences. Opaque to the workflow. */
  readonly cursor?: string;
  readonly acks: readonly { readonly campaign: string; readonly trial: string; readonly attempt: number }[];
  readonly pilots: readonly { readonly pilot: string; readonly campaign: string; readonly nativeId?: string }[];
  readonly waitSeconds: number;
  /** New steps or values of running trials alone are news at most this often; absent: never. Starts, ends, rungs and pilots are news at once. */
  readonly progressSeconds?: number;
}

export interface LookResult {
  readonly cursor: string;
  readonly ended: readonly DoneRecord[];
  /** Everything that runs now, by campaign. */
  readonly running: readonly { readonly campaign: string; readonly pilot: string; readonly busy: readonly BusySlot[] }[];
  readonly pilots: readonly PilotSeen[];
  /** Done records that cannot be read (R21): kept aside by the driver. */
  readonly broken: readonly { readonly campaign: string; readonly name: string; readonly message: string }[];
  /** For people: queue comments, maintenance windows, … at most 10 lines. */
  readonly notices: readonly string[];
  /** What keeps single campaigns from going on while the system serves the others: each is told its own, and when it is over. Absent: none. */
  readonly concerns?: readonly { readonly campaign: string; readonly text: string }[];
}

/** What a driver throws. `needs_login` parks the system; `transport` is retried for ever with back-off; `refused` is final. */
export class DriverError extends Error {
  readonly code: string;
  readonly class: 'needs_login' | 'transport' | 'refused';
  constructor(errorClass: DriverError['class'], code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DriverError';
    this.class = errorClass;
    this.code = code;
  }
}
