import { parsePythonJson } from '../domain/python-json.ts';
import { csvRecords } from './csv-records.ts';
import { type ForeignResults, type ForeignTrial, UnreadableResults } from './foreign-trial.ts';

/** Words of other programs for a trial that ran to its end; a table without such a column holds only those. */
const COMPLETE = new Set(['completed', 'complete', 'terminated', 'finished', 'succeeded', 'success']);
/** Before a parameter's name: ours, Optuna's trials_dataframe, Ray Tune's, none. */
const PARAM_PREFIXES = ['param.', 'params_', 'params.', 'config/', 'config.', ''];
/** Before a metric's name: ours, Optuna's with names for its objectives, what was noted with its trials, none. */
const METRIC_PREFIXES = ['value.', 'metric.', 'values_', 'user_attrs_', ''];

/**
 * A CSV table with one trial a line; semicolons (then with decimal commas too) and tabs are taken where the head has no comma. Columns may be named as ours
 * (`param.lr`, `value.val_accuracy`, `state`), as Optuna's (`params_lr`, `value` or `values_0`, `state`), as Ray Tune's (`config/lr`), or just by parameter and
 * metric; others are left out. Cells stay texts, since only the space knows whether `3.10` is a number. Throws UnreadableResults.
 */
export function readCsv(text: string, file: string): ForeignResults {
  const body = text.replace(/^\uFEFF/, '');
  const delimiter = delimiterOf(body);
  const [head, ...records] = csvRecords(body, delimiter);
  if (head === undefined) throw new UnreadableResults(`${file} is empty.`);
  const names = head.cells;
  const twice = names.find((name, at) => name !== '' && names.indexOf(name) !== at);
  if (twice !== undefined) throw new UnreadableResults(`${file} has two columns "${twice}". Take one out.`);
  if (records.length === 0) throw new UnreadableResults(`${file} has a head, but no line below it.`);
  const trials = records.map(({ cells, line }) => {
    // Else the cells behind a comma that nobody quoted would be read as those of the next columns.
    if (cells.length > names.length)
      throw new UnreadableResults(
        `${file}:${line} has ${cells.length} cells, but the head names ${names.length}. Put cells with "${delimiter}" in quotes.`,
      );
    const record = Object.fromEntries(names.map((name, at) => [name, textOf(cells[at] ?? '', delimiter)]));
    return flatTrial(record, `${file}:${line}`);
  });
  return { trials };
}

function delimiterOf(text: string): ',' | ';' | '\t' {
  const head = text.split('\n', 1)[0]?.replace(/"[^"]*"/g, '') ?? '';
  if (head.includes(',')) return ',';
  return head.includes('\t') ? '\t' : head.includes(';') ? ';' : ',';
}

/**
 * JSON Lines, or one JSON list as pandas and `optuna trials -f json` write it: Holdfast's `trials.jsonl`, `{"params": {…}, "value" or "values": …}`, `{"params":
 * {…}, "accuracy": …}`, Ray Tune's `config` instead of `params`, or flat records as the lines of a CSV table. Throws UnreadableResults.
 */
export function readJsonRecords(text: string, file: string): ForeignResults {
  const isList = text.trimStart().startsWith('[');
  const records = isList
    ? listOf(parsed(text, file), file).map((record, index) => ({ record, from: `${file} record ${index + 1}` }))
    : text.split('\n').flatMap((line, index) => {
        const from = `${file}:${index + 1}`;
        return line.trim() === '' ? [] : [{ record: parsed(line, from), from }];
      });
  return { trials: records.map(({ record, from }) => jsonTrial(record, from)) };
}

function jsonTrial(record: unknown, from: string): ForeignTrial {
  if (!isMapping(record)) throw new UnreadableResults(`${from} is no JSON object.`);
  const params = record.params ?? record.config;
  if (!isMapping(params)) return flatTrial(record, from);
  const [noted, measured] = [record.user_attrs, record.metrics].map((each) => (isMapping(each) ? each : {}));
  const metrics = { ...record, ...noted, ...measured };
  const values = record.values !== undefined ? record.values : record.value;
  return {
    from: typeof record.workflow_id === 'string' ? record.workflow_id : typeof record.from === 'string' ? record.from : from,
    params,
    values: values === undefined ? metrics : valuesOf(values),
    metrics,
    isComplete: isComplete(record.state ?? record.status) && values !== null,
  };
}

/** By metric, or in the order of the objectives; Optuna without names for several objectives counts them: `{"0": 0.9, "1": 3}`. */
function valuesOf(values: unknown): ForeignTrial['values'] {
  if (!isMapping(values)) return Array.isArray(values) ? values : [values];
  const isCounted = Object.keys(values).length > 0 && Object.keys(values).every((name, at) => name === String(at));
  return isCounted ? Object.values(values) : values;
}

function parsed(text: string, from: string): unknown {
  try {
    return parsePythonJson(text);
  } catch (cause) {
    throw new UnreadableResults(`${from} is no JSON.`, { cause });
  }
}

function listOf(value: unknown, file: string): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw new UnreadableResults(`${file} holds an empty list.`);
}

/** A record whose columns are told apart only by name: a parameter's prefix, a metric's prefix, or nothing. */
function flatTrial(record: Readonly<Record<string, unknown>>, from: string): ForeignTrial {
  const named = Object.entries(record).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  const under = (prefixes: readonly string[]) => {
    const found: Record<string, unknown> = {};
    for (const prefix of prefixes) {
      for (const [name, value] of named) {
        const rest = name.slice(prefix.length);
        if (name.startsWith(prefix) && rest !== '' && !Object.hasOwn(found, rest)) found[rest] = value;
      }
    }
    return found;
  };
  const metrics = under(METRIC_PREFIXES);
  // Optuna's table: `value` of one objective, `values_0`, `values_1`, … of several.
  const several = Object.keys(record).filter((name) => /^values_\d+$/.test(name));
  const unnamed = several.length > 0 ? several.map((name) => record[name]) : record.value === undefined ? [] : [record.value];
  const values = unnamed.every((value) => value !== '' && value !== undefined) ? unnamed : [];
  return {
    from,
    params: under(PARAM_PREFIXES),
    values: values.length > 0 ? values : metrics,
    metrics,
    isComplete: isComplete(record.state ?? record.status),
  };
}

function isComplete(state: unknown): boolean {
  return state === undefined || state === null || state === '' || COMPLETE.has(String(state).toLowerCase());
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A cell; our own guard against formulas in spreadsheets is taken off, and a decimal comma becomes a point where commas do not part the cells. */
function textOf(cell: string, delimiter: string): string {
  if (/^'[=+\-@]/.test(cell)) return cell.slice(1);
  return delimiter === ';' && /^[+-]?\d+,\d+([eE][+-]?\d+)?$/.test(cell) ? cell.replace(',', '.') : cell;
}
