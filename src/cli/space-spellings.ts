import { isMapping } from '../spec/source.ts';

/** What other tools and their users call the types of a parameter → the campaign file's word. */
const TYPES: Readonly<Record<string, string>> = {
  double: 'float',
  real: 'float',
  loguniform: 'log_uniform',
  integer: 'int',
  int_log_uniform: 'int',
  log_int: 'int',
  discrete: 'ordinal',
  bool: 'categorical',
  boolean: 'categorical',
};

/** What other tools call a parameter's keys → the campaign file's word. */
const KEYS: Readonly<Record<string, string>> = {
  low: 'min',
  lower: 'min',
  high: 'max',
  upper: 'max',
  choices: 'values',
  options: 'values',
  suggestions: 'initial_suggestions',
};

/** Without effect on the search: remarks, and a switch of the prototype that had none there either. */
const LEFT_OUT = new Set(['name', 'description', 'comment', 'adaptive']);

/** A parameter in the campaign file's words, from whatever other tools call its type and keys; null is the same as absent. Anything else is left for the check. */
export function inOurWords(entry: unknown): unknown {
  if (!isMapping(entry)) return entry;
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(entry)) {
    const ours = KEYS[key] ?? key;
    if (value === null || LEFT_OUT.has(key) || (ours !== key && ours in entry)) continue;
    out[ours] = ours === 'when' ? conditionInOurWords(value) : value;
  }
  const type = typeof entry.type === 'string' ? entry.type.toLowerCase() : undefined;
  if (type !== undefined) out.type = TYPES[type] ?? type;
  if ((type === 'bool' || type === 'boolean') && out.values === undefined) out.values = [false, true];
  if (type === 'int_log_uniform' || type === 'log_int') out.log = true;
  if (type === 'log_uniform' || type === 'loguniform') delete out.log;
  // A range of one value is a constant, not a mistake: generated spaces have such.
  if (typeof out.min === 'number' && out.min === out.max) {
    const { when } = out;
    return { type: 'constant', value: out.min, ...(when === undefined ? {} : { when }) };
  }
  return out;
}

/** `{param: "booster", in: ["tree"]}`, also with `equals`, as `{booster: ["tree"]}`. */
function conditionInOurWords(when: unknown): unknown {
  if (!isMapping(when) || typeof when.param !== 'string') return when;
  const values = when.in ?? when.values ?? when.equals;
  return values === undefined ? when : { [when.param]: values };
}
