import type { CampaignSpec } from '../domain/campaign.ts';
import type { HealthFinding } from '../domain/health.ts';
import type { BusySlot, DoneRecord, LaunchRecord, OfferRecord } from '../domain/spool.ts';
import type { Failure } from '../domain/trial.ts';
import type { RemoteShell } from '../ssh/transport.ts';

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

export interface SystemDescription {
  readonly kind: 'local' | 'pbs' | 'globus_compute';
  readonly usesPilots: boolean;
  /** Slots of one pilot; without pilots: trials at once. */
  readonly slotsPerPilot: number;
  readonly maxPilots: number;
  /** Attempts that lie ready unclaimed, in addition to the slots. */
  readonly prefetch: number;
  /** Seconds between looks; 0 = the driver waits itself and answers at once. */
  readonly lookIntervalSeconds: number;
  readonly nodesPerPilot: number;
  readonly walltimeSeconds?: number;
}

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

export interface PreparedLaunch {
  /** Launch folder on the system, absolute. */
  readonly directory: string;
  /** Folder on this computer where results are collected; the same on the local system. */
  readonly localDirectory: string;
  readonly bundleSha256: string | null;
  /** Where the campaign's own settings (nodes, queue, …) change the system's general description. */
  readonly capacity?: {
    readonly slotsPerPilot?: number;
    readonly maxPilots?: number;
    readonly prefetch?: number;
    readonly nodesPerPilot?: number;
    readonly nodeHoursPerPilot?: number;
    /** Campaigns that name the same pool share its slots, and no others: an endpoint of Globus Compute. Absent: the system's campaigns share its slots. */
    readonly pool?: string;
  };
  /** Versions and commits recorded with the campaign (python, agent, bundle, modules). */
  readonly provenance: Readonly<Record<string, string>>;
}

/** An order names its launch by campaign id. */
export type SystemOrder =
  | { readonly kind: 'offer'; readonly campaign: string; readonly offer: OfferRecord }
  /** Takes back what is unclaimed (answer `withdrawn`), else asks what runs to stop (answer `stopping`). */
  | { readonly kind: 'stop'; readonly campaign: string; readonly trial: string; readonly attempt: number; readonly reason: string }
  | { readonly kind: 'stopPilot'; readonly pilot: string; readonly reason: string };

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

export type PilotStart =
  | { readonly kind: 'started'; readonly nativeId: string }
  /** Not known whether it was started: look it up again later, never start a second one under another name. */
  | { readonly kind: 'unknown'; readonly message: string }
  /** The site makes us wait (job limits, maintenance, server down): no attempt is charged. */
  | { readonly kind: 'wait'; readonly message: string; readonly retrySeconds: number }
  | { readonly kind: 'refused'; readonly failure: Failure };

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

export const PILOT_STATES = ['requested', 'unknown', 'queued', 'running', 'ended'] as const;
export type PilotState = (typeof PILOT_STATES)[number];

export interface PilotSeen {
  readonly pilot: string;
  readonly state: PilotState;
  readonly nativeId?: string;
  readonly slots: number;
  /** Why it waits or how it ended, in the scheduler's words. */
  readonly comment?: string;
  /** How it ended: null while it lives. */
  readonly end?: { readonly kind: 'normal' | 'walltime' | 'killed' | 'never_ran' | 'failed' | 'lost'; readonly message: string };
  readonly finished: number;
  readonly allocatedSlotSeconds: number;
  readonly busySlotSeconds: number;
}

/** What a driver throws. `needsLogin` parks the system; `transport` is retried for ever with back-off; `refused` is final. */
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
