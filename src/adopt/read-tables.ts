import { type ForeignResults, type ForeignTrial, UnreadableResults } from './foreign-trial.ts';

/** Words of other programs for a trial that ran to its end; a table without such a column holds only those. */
const COMPLETE = new Set(['completed', 'complete', 'terminated', 'finished', 'succeeded', 'success']);
/** Before a parameter's name: ours, Optuna's trials_dataframe, Ray Tune's, none. */
const PARAM_PREFIXES = ['param.', 'params_', 'params.', 'config/', 'config.', ''];
/** Before a metric's name: ours, none. */
const METRIC_PREFIXES = ['value.', 'metric.', ''];

/**
 * A CSV table with one trial a line. Columns may be named as ours (`param.lr`, `value.val_accuracy`, `state`), as Optuna's (`params_lr`, `value` or `values_0`,
 * `state`), as Ray Tune's (`config/lr`), or just by parameter and metric; others are left out. Throws UnreadableResults.
 */
export function readCsv(text: string, file: string): ForeignResults {
  const [head, ...lines] = csvLines(text);
  if (head === undefined) throw new UnreadableResults(`${file} is empty.`);
  const trials = lines
    .map(({ cells, line }) => ({ line, record: Object.fromEntries(head.cells.map((name, at) => [name, valueOfCell(cells[at] ?? '')])) }))
    .map(({ line, record }) => flatTrial(record, `${file}:${line}`));
  return { trials };
}

/** JSON Lines: Holdfast's `trials.jsonl`, `{"params": {…}, "value" or "values": …}`, or flat records as the lines of a CSV table. Throws UnreadableResults. */
export function readJsonLines(text: string, file: string): ForeignResults {
  const trials = text.split('\n').flatMap((line, index): ForeignTrial[] => {
    if (line.trim() === '') return [];
    const from = `${file}:${index + 1}`;
    const record = mappingOf(line, from);
    const { params, metrics } = record;
    if (!isMapping(params)) return [flatTrial(record, from)];
    const values = record.values ?? record.value;
    return [
      {
        from: typeof record.workflow_id === 'string' ? record.workflow_id : typeof record.from === 'string' ? record.from : from,
        params,
        values: isMapping(values) || Array.isArray(values) ? values : values === undefined || values === null ? [] : [values],
        ...(isMapping(metrics) ? { metrics } : {}),
        isComplete: isComplete(record.state ?? record.status) && values !== undefined && values !== null,
      },
    ];
  });
  return { trials };
}

function mappingOf(line: string, from: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (isMapping(value)) return value;
  } catch (cause) {
    throw new UnreadableResults(`${from} is no JSON.`, { cause });
  }
  throw new UnreadableResults(`${from} is no JSON object.`);
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

/** Numbers and yes-or-no as such; our own guard against formulas in spreadsheets is taken off. */
function valueOfCell(cell: string): unknown {
  const trimmed = cell.trim();
  if (/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(trimmed)) return Number(trimmed);
  if (/^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === 'true';
  return /^'[=+\-@]/.test(trimmed) ? trimmed.slice(1) : trimmed;
}

/** Records of RFC 4180: quoted cells may hold commas, line breaks and doubled quotes. `line` is where a record begins, from 1. */
function csvLines(text: string): { readonly cells: readonly string[]; readonly line: number }[] {
  const records: { cells: string[]; line: number }[] = [];
  let cells: string[] = [];
  let cell = '';
  let isQuoted = false;
  let line = 1;
  let first = 1;
  const endRecord = () => {
    cells.push(cell);
    if (cells.length > 1 || cells[0] !== '') records.push({ cells, line: first });
    cells = [];
    cell = '';
  };
  const body = text.replace(/^\uFEFF/, '');
  for (let at = 0; at < body.length; at++) {
    const character = body[at] as string;
    if (character === '\n') line++;
    if (isQuoted) {
      if (character !== '"') cell += character;
      else if (body[at + 1] === '"') {
        cell += '"';
        at++;
      } else isQuoted = false;
    } else if (character === '"' && cell === '') isQuoted = true;
    else if (character === ',') {
      cells.push(cell);
      cell = '';
    } else if (character === '\n') {
      endRecord();
      first = line;
    } else if (character !== '\r') cell += character;
  }
  endRecord();
  return records;
}
