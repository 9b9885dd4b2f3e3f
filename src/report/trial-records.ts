import { trialName, trialWorkflowId } from '../domain/ids.ts';
import type { ParameterValue } from '../domain/space.ts';
import type { CurvePoint, FileReference, TrialRow } from '../domain/trial.ts';
import { isFeasible } from '../view/ranking.ts';
import type { ReportInput } from './input.ts';

/** One line of `trials.jsonl`: everything that is known of a trial. Times are ISO 8601 in UTC, durations seconds. docs/results.md has each field. */
export interface TrialRecord {
  readonly trial: string;
  readonly number: number;
  readonly workflow_id: string;
  readonly state: string;
  readonly params: Readonly<Record<string, ParameterValue>>;
  readonly origin: string;
  readonly note: string | null;
  /** Metric → value, in the order of the objectives; null for a trial without a result. */
  readonly values: Readonly<Record<string, number>> | null;
  readonly feasible: boolean | null;
  /** The training ran on generated data (results.json says `"synthetic": true`). */
  readonly synthetic: boolean;
  readonly step: number | null;
  readonly attempts: number;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly run_seconds: number | null;
  readonly failure: { readonly class: string; readonly message: string; readonly stage: string | null } | null;
  readonly metrics: Readonly<Record<string, number>> | null;
  readonly curve: readonly CurvePoint[];
  readonly host: string | null;
  readonly pilot: string | null;
  readonly slot: number | null;
  /** Relative to the launch folder. */
  readonly directory: string | null;
  readonly files: readonly FileReference[];
}

/** Rows and outcomes joined, by number. */
export function trialRecords(input: ReportInput): TrialRecord[] {
  const outcomes = new Map((input.outcomes ?? []).map((outcome) => [outcome.number, outcome]));
  return input.rows.map((row) => {
    const outcome = outcomes.get(row.number);
    const values = row.values ?? (row.state === 'completed' || row.state === 'pruned' ? outcome?.values : undefined);
    const failure = row.failure ?? outcome?.failure;
    return {
      trial: trialName(row.number),
      number: row.number,
      workflow_id: trialWorkflowId(input.campaign, row.number),
      state: row.state,
      params: row.params,
      origin: row.origin,
      note: row.note ?? null,
      values:
        values === undefined
          ? null
          : Object.fromEntries(input.spec.objectives.map(({ metric }, index) => [metric, values[index] ?? Number.NaN])),
      feasible: row.state === 'completed' ? isFeasible(row, input.spec.metricConstraints) : null,
      synthetic: (row.synthetic ?? outcome?.synthetic) === true,
      step: row.step ?? outcome?.step ?? null,
      attempts: row.attempts,
      created_at: iso(row.createdAt),
      started_at: outcome?.startedAt === undefined ? null : iso(outcome.startedAt),
      finished_at: finishedAt(row, outcome?.finishedAt),
      run_seconds: row.runSeconds ?? outcome?.runSeconds ?? null,
      failure: failure === undefined ? null : { class: failure.class, message: failure.message, stage: failure.stage ?? null },
      metrics: outcome?.metrics ?? null,
      curve: outcome?.curve ?? row.curve ?? [],
      host: outcome?.host ?? null,
      pilot: outcome?.pilot ?? null,
      slot: outcome?.slot ?? null,
      directory: outcome?.directory ?? null,
      files: outcome?.files ?? [],
    };
  });
}

function finishedAt(row: TrialRow, known: number | undefined): string | null {
  const instant = row.finishedAt ?? known;
  return instant === undefined ? null : iso(instant);
}

/** An instant, milliseconds since the epoch, in ISO 8601 and UTC. */
export function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** JSON Lines, one trial a line, by number. */
export function toJsonLines(records: readonly TrialRecord[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}

/**
 * CSV (RFC 4180, UTF-8, CRLF): fixed columns, then `value.<metric>`, `param.<name>`, `metric.<name>`. An inactive parameter and an unknown value are empty.
 * A cell that a spreadsheet would run as a formula gets a leading apostrophe.
 */
export function toCsv(records: readonly TrialRecord[]): string {
  const { head, lineOf } = csvTable(records);
  return [head, ...records.map(lineOf)].join('');
}

/** The head of the CSV table of these records, and how one of them becomes a line. */
export function csvTable(records: readonly TrialRecord[]): { readonly head: string; readonly lineOf: (record: TrialRecord) => string } {
  const names = (pick: (record: TrialRecord) => object | null) => {
    const found = new Set<string>();
    for (const record of records) for (const name in pick(record) ?? {}) found.add(name);
    return [...found];
  };
  const values = names((record) => record.values);
  const params = names((record) => record.params);
  const metrics = names((record) => record.metrics).filter((name) => !values.includes(name));
  const line = (cells: readonly Cell[]) => `${cells.map(csvCell).join(',')}\r\n`;
  return {
    head: line([
      ...FIXED_COLUMNS.map(([name]) => name),
      ...values.map((name) => `value.${name}`),
      ...params.map((name) => `param.${name}`),
      ...metrics.map((name) => `metric.${name}`),
    ]),
    lineOf: (record) =>
      line([
        ...FIXED_COLUMNS.map(([, cell]) => cell(record)),
        ...values.map((name) => record.values?.[name]),
        ...params.map((name) => record.params[name]),
        ...metrics.map((name) => record.metrics?.[name]),
      ]),
  };
}

type Cell = string | number | boolean | null | undefined;

const FIXED_COLUMNS: readonly (readonly [name: string, cell: (record: TrialRecord) => Cell])[] = [
  ['number', (record) => record.number],
  ['trial', (record) => record.trial],
  ['state', (record) => record.state],
  ['origin', (record) => record.origin],
  ['attempts', (record) => record.attempts],
  ['step', (record) => record.step],
  ['synthetic', (record) => record.synthetic],
  ['run_seconds', (record) => record.run_seconds],
  ['created_at', (record) => record.created_at],
  ['started_at', (record) => record.started_at],
  ['finished_at', (record) => record.finished_at],
  ['failure_class', (record) => record.failure?.class],
  ['failure_message', (record) => record.failure?.message],
  ['host', (record) => record.host],
  ['pilot', (record) => record.pilot],
  ['slot', (record) => record.slot],
  ['directory', (record) => record.directory],
  ['note', (record) => record.note],
];

function csvCell(value: Cell): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
