import type { OfferRecord } from './spool.ts';
import type { Failure } from './trial.ts';

/** What a system's workflow and its driver tell each other. */

/** What a system can take, in general; a campaign's own settings may change it (`PreparedLaunch.capacity`). */
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

/** A campaign's launch folder, made and checked. */
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

/** What became of the start of a pilot. */
export type PilotStart =
  | { readonly kind: 'started'; readonly nativeId: string }
  /** Not known whether it was started: look it up again later, never start a second one under another name. */
  | { readonly kind: 'unknown'; readonly message: string }
  /** The site makes us wait (job limits, maintenance, server down): no attempt is charged. */
  | { readonly kind: 'wait'; readonly message: string; readonly retrySeconds: number }
  | { readonly kind: 'refused'; readonly failure: Failure };

/** `requested`: asked for and not seen yet. `unknown`: not known whether it was started. */
export type PilotState = 'requested' | 'unknown' | 'queued' | 'running' | 'ended';

/** A pilot as a look finds it; times in seconds of slot time since it began. */
export interface PilotSeen {
  readonly pilot: string;
  readonly state: PilotState;
  readonly nativeId?: string;
  readonly slots: number;
  /** Why it waits or how it ended, in the scheduler's words. */
  readonly comment?: string;
  /** How it ended; absent while it lives. */
  readonly end?: { readonly kind: 'normal' | 'walltime' | 'killed' | 'never_ran' | 'failed' | 'lost'; readonly message: string };
  readonly finished: number;
  readonly allocatedSlotSeconds: number;
  readonly busySlotSeconds: number;
}
