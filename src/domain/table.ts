import type { ParameterValue, Point, Space } from './space.ts';
import { type Failure, TRIAL_STATES, type TrialRow, type TrialState } from './trial.ts';

/** A campaign's table: rows by number (row i has number i + 1), each with the version at which it last changed. */
export interface TrialTable {
  readonly rows: TrialRow[];
  readonly versions: number[];
  version: number;
}

/** A table without rows, at version 0. */
export function emptyTable(): TrialTable {
  return { rows: [], versions: [], version: 0 };
}

/** Adds the next row; its number must be rows.length + 1. */
export function addRow(table: TrialTable, row: TrialRow): void {
  if (row.number !== table.rows.length + 1) throw new RangeError(`row ${row.number} does not follow row ${table.rows.length}`);
  table.version += 1;
  table.rows.push(row);
  table.versions.push(table.version);
}

/** Replaces parts of a row. */
export function changeRow(table: TrialTable, number: number, change: Partial<TrialRow>): TrialRow {
  const old = table.rows[number - 1];
  if (old === undefined) throw new RangeError(`the table has no row ${number}`);
  const row = { ...old, ...change };
  table.version += 1;
  table.rows[number - 1] = row;
  table.versions[number - 1] = table.version;
  return row;
}

/** An ended row that is to run again: queued, without its failure and its end. Its attempts and seconds so far stay. */
export function reopenRow(table: TrialTable, number: number, note: string): TrialRow {
  const old = table.rows[number - 1];
  if (old === undefined) throw new RangeError(`the table has no row ${number}`);
  const { failure: _failure, finishedAt: _finishedAt, ...kept } = old;
  table.rows[number - 1] = kept;
  return changeRow(table, number, { state: 'queued', note });
}

/** Rows changed after `since`: the `limit` oldest changes, by number. `version` is what to ask with next. */
export function rowsSince(table: TrialTable, since: number, limit: number): { rows: TrialRow[]; version: number; more: boolean } {
  const changed = table.versions
    .map((version, index) => ({ version, index }))
    .filter(({ version }) => version > since)
    .sort((a, b) => a.version - b.version);
  const page = changed.slice(0, limit);
  return {
    rows: page.map(({ index }) => table.rows[index] as TrialRow).sort((a, b) => a.number - b.number),
    version: page.at(-1)?.version ?? table.version,
    more: changed.length > limit,
  };
}

/**
 * The table as it travels through continue-as-new: parameters by position instead of by name, no null fields, timestamps relative to `origin`.
 * About 120 bytes a row with eight parameters: 10,000 rows stay well under the payload limit of 2 MiB.
 */
export interface PackedTable {
  readonly version: number;
  readonly origin: number;
  readonly origins: readonly string[];
  readonly rows: readonly PackedRow[];
}

type PackedRow = readonly [
  version: number,
  state: number,
  origin: number,
  params: readonly (ParameterValue | null)[],
  values: readonly number[] | 0,
  attempts: number,
  runSeconds: number,
  createdAt: number,
  finishedAt: number,
  rest?: PackedRest,
];

interface PackedRest {
  readonly s?: number;
  readonly c?: TrialRow['curve'];
  readonly k?: readonly (number | null)[];
  readonly y?: true;
  readonly f?: Failure;
  readonly n?: string;
}

/** The table as continue-as-new takes it along: lists in place of objects, parameters without their names. */
export function packTable(table: TrialTable, space: Space): PackedTable {
  const names = space.parameters.map((parameter) => parameter.name);
  const origin = table.rows[0]?.createdAt ?? 0;
  const origins = [...new Set(table.rows.map((row) => row.origin))];
  const rows = table.rows.map((row, index): PackedRow => {
    const rest: PackedRest = {
      ...(row.step === undefined ? {} : { s: row.step }),
      ...(row.curve === undefined ? {} : { c: row.curve }),
      ...(row.constraintValues === undefined ? {} : { k: row.constraintValues }),
      ...(row.synthetic === undefined ? {} : { y: row.synthetic }),
      ...(row.failure === undefined ? {} : { f: shortFailure(row.failure) }),
      ...(row.note === undefined ? {} : { n: row.note.slice(0, 200) }),
    };
    const packed = [
      table.versions[index] ?? 0,
      TRIAL_STATES.indexOf(row.state),
      origins.indexOf(row.origin),
      names.map((name) => row.params[name] ?? null),
      row.values ?? 0,
      row.attempts,
      round(row.runSeconds ?? -1),
      row.createdAt - origin,
      row.finishedAt === undefined ? -1 : row.finishedAt - origin,
    ] as const;
    return Object.keys(rest).length === 0 ? packed : [...packed, rest];
  });
  return { version: table.version, origin, origins, rows };
}

/** The table from its packed form; the space must be the one it was packed with. */
export function unpackTable(packed: PackedTable, space: Space): TrialTable {
  const table: TrialTable = { rows: [], versions: [], version: packed.version };
  packed.rows.forEach((row, index) => {
    const [version, state, origin, values, objective, attempts, runSeconds, createdAt, finishedAt, rest] = row;
    const params: Record<string, ParameterValue> = {};
    space.parameters.forEach((parameter, position) => {
      const value = values[position];
      if (value !== null && value !== undefined) params[parameter.name] = value;
    });
    table.rows.push({
      number: index + 1,
      params: params as Point,
      origin: packed.origins[origin] ?? 'unknown',
      state: TRIAL_STATES[state] as TrialState,
      attempts,
      createdAt: createdAt + packed.origin,
      ...(objective === 0 ? {} : { values: objective }),
      ...(runSeconds < 0 ? {} : { runSeconds }),
      ...(finishedAt < 0 ? {} : { finishedAt: finishedAt + packed.origin }),
      ...(rest?.s === undefined ? {} : { step: rest.s }),
      ...(rest?.c === undefined ? {} : { curve: rest.c }),
      ...(rest?.k === undefined ? {} : { constraintValues: rest.k }),
      ...(rest?.y === undefined ? {} : { synthetic: rest.y }),
      ...(rest?.f === undefined ? {} : { failure: rest.f }),
      ...(rest?.n === undefined ? {} : { note: rest.n }),
    });
    table.versions.push(version);
  });
  return table;
}

/** Evidence stays with the trial's own workflow; the table keeps one sentence. */
function shortFailure(failure: Failure): Failure {
  return { class: failure.class, message: failure.message.slice(0, 160), ...(failure.stage === undefined ? {} : { stage: failure.stage }) };
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
