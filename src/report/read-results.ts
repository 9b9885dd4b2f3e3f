import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import type { CampaignSpec, Objective } from '../domain/campaign.ts';
import { FAILURE_TABLE, type FailureClass } from '../domain/failures.ts';
import { TRIAL_STATES, type TrialRow } from '../domain/trial.ts';
import { ReportError } from './atomic.ts';
import { CAMPAIGN_FILE } from './write.ts';

/** A campaign out of the files that its report left behind; needs no server. */
export interface Results {
  readonly campaign: string;
  /** From `campaign.json`; absent for a folder of an older Holdfast and for a table alone. */
  readonly spec?: CampaignSpec;
  /** From the specification, else from `summary.json`; without both one per metric of the table, maximised. */
  readonly objectives: readonly Objective[];
  /** False when the direction is only assumed. */
  readonly isDirectionKnown: boolean;
  readonly rows: readonly TrialRow[];
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly status: string;
}

const parameterValue = z.union([z.string(), z.number(), z.boolean()]);

/** What is read of a line of `trials.jsonl`; docs/results.md has every field. */
const recordSchema = z.looseObject({
  number: z.int().positive(),
  state: z.enum(TRIAL_STATES),
  params: z.record(z.string(), parameterValue),
  origin: z.string().default('unknown'),
  note: z.string().nullish(),
  values: z.record(z.string(), z.number().nullable()).nullish(),
  feasible: z.boolean().nullish(),
  synthetic: z.boolean().nullish(),
  step: z.number().nullish(),
  attempts: z.number().default(1),
  created_at: z.string().nullish(),
  finished_at: z.string().nullish(),
  run_seconds: z.number().nullish(),
  failure: z.looseObject({ class: z.string(), message: z.string() }).nullish(),
  metrics: z.record(z.string(), z.number().nullable()).nullish(),
  curve: z.array(z.tuple([z.number(), z.number()])).nullish(),
});

type ReadRecord = z.output<typeof recordSchema>;

const summarySchema = z.looseObject({
  campaign: z.string(),
  status: z.string(),
  started_at: z.string(),
  ended_at: z.string(),
  objectives: z.array(z.looseObject({ metric: z.string(), direction: z.enum(['maximize', 'minimize']), target: z.number().nullish() })),
});

/** Whether a path is something that {@link readResults} reads: a folder with `trials.jsonl`, or such a file. */
export function areResults(path: string): boolean {
  if (!existsSync(path)) return false;
  return statSync(path).isDirectory() ? existsSync(join(path, 'trials.jsonl')) : path.endsWith('.jsonl');
}

/**
 * Reads a results folder, or its `trials.jsonl` (the files beside it are used too). Example: `readResults('results/20261124-digits-1')`.
 * @throws ReportError naming the file and the line that cannot be read.
 */
export function readResults(path: string): Results {
  const isFolder = statSync(path).isDirectory();
  const folder = isFolder ? path : dirname(path);
  const table = isFolder ? join(path, 'trials.jsonl') : path;
  const records = readFileSync(table, 'utf8')
    .split('\n')
    .flatMap((line, index) => (line.trim() === '' ? [] : [recordOf(line, table, index + 1)]))
    .sort((a, b) => a.number - b.number);
  const spec = readJson(join(folder, CAMPAIGN_FILE)) as CampaignSpec | undefined;
  const summary = readJson(join(folder, 'summary.json'));
  const known = summary === undefined ? undefined : summarySchema.safeParse(summary).data;
  const objectives = spec?.objectives ?? known?.objectives.map(objectiveOf) ?? metricsOf(records).map((metric) => objectiveOf({ metric }));
  const rows = records.map((record) => rowOf(record, objectives, spec));
  const times = rows.flatMap((row) => [row.createdAt, row.finishedAt ?? row.createdAt]).filter((time) => time > 0);
  const startedAt = known === undefined ? Math.min(...times, Date.now()) : Date.parse(known.started_at);
  return {
    campaign: known?.campaign ?? basename(resolve(folder)),
    ...(spec === undefined ? {} : { spec }),
    objectives,
    isDirectionKnown: spec !== undefined || known !== undefined,
    rows,
    startedAt,
    endedAt: known === undefined ? Math.max(startedAt, ...times) : Date.parse(known.ended_at),
    status: known?.status ?? 'unknown',
  };
}

function readJson(file: string): unknown {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new ReportError('HF-RESULTS', `${file} is no JSON. Make it again with \`holdfast report\`, or remove it.`, { cause });
  }
}

function recordOf(line: string, file: string, number: number): ReadRecord {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new ReportError('HF-RESULTS', `${file}:${number} is no JSON. Make the table again with \`holdfast report\`.`, { cause });
  }
  const parsed = recordSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ReportError(
    'HF-RESULTS',
    `${file}:${number} is no trial of Holdfast: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}. \`holdfast adopt\` reads tables of others.`,
  );
}

function metricsOf(records: readonly ReadRecord[]): string[] {
  return [...new Set(records.flatMap((record) => Object.keys(record.values ?? {})))];
}

function objectiveOf({
  metric,
  direction,
  target,
}: {
  metric: string;
  direction?: Objective['direction'];
  target?: number | null | undefined;
}): Objective {
  return { metric, direction: direction ?? 'maximize', reduce: 'result', ...(target == null ? {} : { target }) };
}

function rowOf(record: ReadRecord, objectives: readonly Objective[], spec: CampaignSpec | undefined): TrialRow {
  const values = objectives.map(({ metric }) => record.values?.[metric] ?? Number.NaN);
  const constraintValues = (spec?.metricConstraints ?? []).map(
    // A table without outcomes knows only whether the trial was feasible.
    ({ metric, bound }) => record.metrics?.[metric] ?? (record.feasible === true ? bound : Number.NaN),
  );
  const { failure } = record;
  return {
    number: record.number,
    params: record.params,
    origin: record.origin,
    state: record.state,
    attempts: record.attempts,
    createdAt: instant(record.created_at) ?? 0,
    ...(record.values == null || !values.every(Number.isFinite) ? {} : { values }),
    ...optional('step', record.step),
    ...optional('runSeconds', record.run_seconds),
    ...optional('finishedAt', instant(record.finished_at)),
    ...optional('note', record.note),
    ...(record.synthetic === true ? { synthetic: true } : {}),
    ...(record.curve == null || record.curve.length === 0 ? {} : { curve: record.curve }),
    ...(constraintValues.length === 0 ? {} : { constraintValues }),
    ...(failure == null ? {} : { failure: { class: classOf(failure.class), message: failure.message } }),
  };
}

function optional<K extends string, V>(key: K, value: V | null | undefined): { readonly [P in K]?: V } {
  return (value == null ? {} : { [key]: value }) as { readonly [P in K]?: V };
}

function instant(text: string | null | undefined): number | undefined {
  return text == null ? undefined : Date.parse(text);
}

/** A class of a newer Holdfast is told as unknown. */
function classOf(name: string): FailureClass {
  return Object.hasOwn(FAILURE_TABLE, name) ? (name as FailureClass) : 'unknown_error';
}
