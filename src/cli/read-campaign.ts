import { existsSync } from 'node:fs';
import type { Client } from '@temporalio/client';
import type { CampaignSpec, MetricConstraint, Objective } from '../domain/campaign.ts';
import type { Parameter, ParameterValue, Space } from '../domain/space.ts';
import type { TrialRow } from '../domain/trial.ts';
import { areResults, readResults } from '../report/read-results.ts';
import { askDescription, askStatus, askTable } from './ask-campaign.ts';
import { findCampaign } from './campaigns.ts';
import { CliError } from './exit-codes.ts';
import { withClient } from './io.ts';
import { readSpaceFile } from './space-file.ts';

/** A campaign's table with what is needed to read it, from Temporal or from its results folder. */
export interface ReadCampaign {
  readonly campaign: string;
  /** Absent for a results folder without `campaign.json`. */
  readonly spec?: CampaignSpec;
  readonly objectives: readonly Objective[];
  readonly isDirectionKnown: boolean;
  readonly metricConstraints?: readonly MetricConstraint[];
  readonly rows: readonly TrialRow[];
  readonly startedAt: number;
  readonly endedAt: number;
  /** A phase of the campaign, or how its report says that it ended. */
  readonly status: string;
}

/**
 * Each campaign by the unique beginning of its id, or by its results folder or `trials.jsonl`; undefined is the newest campaign. Temporal is asked only for ids.
 * Throws CliError for what is neither.
 */
export async function readCampaigns(names: readonly (string | undefined)[]): Promise<ReadCampaign[]> {
  for (const name of names) if (name !== undefined) refuseStrangePath(name);
  const isFile = (name: string | undefined): name is string => name !== undefined && areResults(name);
  const ask = async (client?: Client): Promise<ReadCampaign[]> => {
    const read: ReadCampaign[] = [];
    for (const name of names) read.push(isFile(name) ? fromFiles(name) : await fromTemporal(client as Client, name));
    return read;
  };
  return names.every(isFile) ? ask() : withClient(ask);
}

function refuseStrangePath(name: string): void {
  if (areResults(name) || !(/[/\\]|\.(jsonl|csv|json)$/.test(name) || existsSync(name))) return;
  // Ids of campaigns may hold a slash: only what is there, or looks like a file, is taken for a path.
  if (!existsSync(name) && !/^[./~]|\.(jsonl|csv|json)$/.test(name)) return;
  const what = existsSync(name) ? 'holds no trials.jsonl' : 'is not there';
  throw new CliError(
    'usage',
    'HF-NO-RESULTS',
    `${name} ${what}. Name a campaign, a results folder (results/<launch>), or a trials.jsonl; \`holdfast report\` and \`holdfast export --jsonl\` write them.`,
  );
}

function fromFiles(path: string): ReadCampaign {
  const results = readResults(path);
  const constraints = results.spec?.metricConstraints;
  return { ...results, ...(constraints === undefined ? {} : { metricConstraints: constraints }) };
}

async function fromTemporal(client: Client, name: string | undefined): Promise<ReadCampaign> {
  const campaign = await findCampaign(client, name);
  const { spec } = await askDescription(client, campaign);
  const status = await askStatus(client, campaign);
  return {
    campaign,
    spec,
    objectives: spec.objectives,
    isDirectionKnown: true,
    ...(spec.metricConstraints === undefined ? {} : { metricConstraints: spec.metricConstraints }),
    rows: await askTable(client, campaign),
    startedAt: status.startedAt,
    endedAt: status.startedAt + status.elapsedSeconds * 1000,
    status: status.phase,
  };
}

/** A table that lies without its campaign, with the direction that the user says; others as they are. */
export function directed(read: ReadCampaign, direction: Objective['direction'] | undefined): ReadCampaign {
  if (read.isDirectionKnown || direction === undefined) return read;
  return { ...read, isDirectionKnown: true, objectives: read.objectives.map((objective) => ({ ...objective, direction })) };
}

/** The space to read the points with, and objectives where the file has them: of `--space FILE`, else the campaign's own, else what its points show (`isGuessed`). */
export async function spaceOf(
  read: ReadCampaign,
  file: string | undefined,
): Promise<{ readonly space: Space; readonly objectives?: readonly Objective[]; readonly isGuessed: boolean }> {
  if (file !== undefined) return { ...(await readSpaceFile(file)), isGuessed: false };
  if (read.spec !== undefined) return { space: read.spec.space, isGuessed: false };
  return { space: guessedSpace(read.rows), isGuessed: true };
}

/** From a hundredfold on a range of positive numbers is taken for logarithmic. */
const LOG_RATIO = 100;

/** A space that holds every point of a table: numbers between their extremes, everything else by its values. */
export function guessedSpace(rows: readonly TrialRow[]): Space {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.params)))];
  return { parameters: names.map((name) => guessed(name, [...new Set(rows.flatMap((row) => row.params[name] ?? []))])) };
}

function guessed(name: string, values: readonly ParameterValue[]): Parameter {
  const numbers = values.filter((value) => typeof value === 'number');
  const [only] = values;
  if (values.length === 1 && only !== undefined) return { name, type: 'constant', value: only };
  if (numbers.length < values.length) return { name, type: 'categorical', values };
  const [min, max] = [Math.min(...numbers), Math.max(...numbers)];
  const log = min > 0 && max / min >= LOG_RATIO ? { log: true } : {};
  return { name, type: numbers.every(Number.isInteger) ? 'int' : 'float', min, max, ...log };
}
