import type { CampaignSpec } from '../domain/campaign.ts';
import type { LlmTotals } from '../domain/status.ts';
import type { TrialOutcome, TrialRow } from '../domain/trial.ts';

/** What every report, table and export is made from: plain data out of a campaign's history, so that each file can be made again. */
export interface ReportInput {
  /** The campaign's workflow id. */
  readonly campaign: string;
  readonly spec: CampaignSpec;
  readonly status: ReportStatus;
  readonly stopReason?: string;
  /** Milliseconds since the epoch, the workflow's clock. */
  readonly startedAt: number;
  /** When the campaign ended, or the instant of the report while it runs. */
  readonly endedAt: number;
  readonly rows: readonly TrialRow[];
  /** Ends of trials with host, slot, pilot, metrics and files, in any order; a row without one is reported from the table alone. */
  readonly outcomes?: readonly TrialOutcome[];
  /** Busy share of all slot time of the campaign's pilots, 0 to 1. */
  readonly utilisation?: number;
  readonly nodeHours?: number;
  /** What the language model cost; only in campaigns with one. */
  readonly llm?: LlmTotals;
  readonly problems?: readonly string[];
  /** Versions and commits: python, agent, bundle, modules, … */
  readonly provenance?: Readonly<Record<string, string>>;
  readonly launch?: { readonly launch: string; readonly directory: string; readonly localDirectory: string };
  /** Parameter → share of the objective's variance that it explains, 0 to 1. */
  readonly importance?: Readonly<Record<string, number>>;
}

/** `running`: the report was made before the end. */
export const REPORT_STATUSES = ['running', 'completed', 'stopped', 'cancelled', 'failed'] as const;
export type ReportStatus = (typeof REPORT_STATUSES)[number];
