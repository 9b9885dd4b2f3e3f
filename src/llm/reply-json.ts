import { jsonrepair } from 'jsonrepair';
import { withoutCutPoint } from './cut-reply.ts';

/** One proposed point as the model wrote it. */
export interface RawPoint {
  readonly params: Readonly<Record<string, unknown>>;
  readonly reasoning?: string;
}

export interface RawReply {
  readonly points: readonly RawPoint[];
  readonly note?: string;
  /** Not JSON as it stood: what had to be mended. */
  readonly wasMended: boolean;
}

const LISTS = ['points', 'suggestions', 'configurations', 'configs', 'candidates', 'proposals', 'trials'];
const PARAMS = ['params', 'parameters', 'hyperparameters', 'config', 'configuration', 'point'];
/** What some models put around their answer, as if they called a tool or filled in a form. */
const WRAPPERS = ['arguments', 'parameters', 'input', 'result', 'answer', 'output', 'response', 'content'];
const REASONS = ['reasoning', 'reason', 'rationale', 'explanation', 'why'];

/** Replies beyond this are cut: no answer of ours is so long. */
const LONGEST_REPLY = 200_000;
const END_OF_THOUGHTS = '</think>';
/** Objects in one reply that are looked at. */
const MOST_PARTS = 40;
/** What is no JSON is mended up to this length, and so much of one reply in all: mending takes the square of the length where quotes are strewn about. */
const LONGEST_MENDED = 10_000;
const MOST_MENDED = 2 * LONGEST_MENDED;

/**
 * Points out of a reply in whatever form: plain JSON, fenced, within prose, with comments, trailing commas, single quotes, NaN, cut short (row L13; a point
 * that is not whole does not count). Of several objects the one with the most points counts, the last of these. Undefined when no part names any of the parameters.
 */
export function readReply(reply: string, names: readonly string[]): RawReply | undefined {
  const text = withoutThoughts(reply.slice(0, LONGEST_REPLY));
  let found: RawReply | undefined;
  let room = MOST_MENDED;
  for (const part of parts(text)) {
    const read = parsed(part, Math.min(room, LONGEST_MENDED));
    if (read?.wasMended !== false) room -= part.length;
    if (read === undefined) continue;
    const points = pointsOf(read.value, names);
    if (points.length === 0 || points.length < (found?.points.length ?? 0)) continue;
    const note = isRecord(read.value) && typeof read.value.note === 'string' ? { note: read.value.note } : {};
    found = { points, ...note, wasMended: read.wasMended || part.trim() !== text.trim() };
  }
  return found;
}

/** What a model thinks aloud is no answer, drafts in it neither. Some services send its end alone: the beginning stood in the model's own prompt. */
function withoutThoughts(reply: string): string {
  const rest = reply.replace(/<think>[\s\S]*?(<\/think>|$)/g, '');
  const end = rest.lastIndexOf(END_OF_THOUGHTS);
  return end === -1 ? rest : rest.slice(end + END_OF_THOUGHTS.length);
}

/** Where JSON may stand, widest first within each kind. */
function parts(text: string): string[] {
  const fenced = [...text.matchAll(/```[a-zA-Z]*\s*\n?([\s\S]*?)(```|$)/g)].map((match) => match[1] as string);
  return [text, ...fenced, ...balanced(text)].filter((part) => /[{[]/.test(part)).slice(0, MOST_PARTS);
}

/** Outermost {…} and […] of a text, braces within strings not counted; an open one at the end goes to the end. */
function balanced(text: string): string[] {
  const found: string[] = [];
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== '{' && text[i] !== '[') continue;
    const end = closing(text, i);
    found.push(text.slice(i, end));
    i = end - 1;
  }
  return found;
}

function closing(text: string, from: number): number {
  let depth = 0;
  let isString = false;
  for (let i = from; i < text.length; i++) {
    const character = text[i];
    if (isString) {
      if (character === '\\') i++;
      else if (character === '"') isString = false;
    } else if (character === '"') isString = true;
    else if (character === '{' || character === '[') depth++;
    else if ((character === '}' || character === ']') && --depth === 0) return i + 1;
  }
  return text.length;
}

function parsed(part: string, longestMended: number): { readonly value: unknown; readonly wasMended: boolean } | undefined {
  const text = part.trim();
  try {
    return { value: JSON.parse(text), wasMended: false };
  } catch {
    // Mended below.
  }
  // jsonrepair makes a text of any prose; only what begins as an object or a list is meant.
  if (!/^[{[]/.test(text) || text.length > longestMended) return undefined;
  try {
    return { value: JSON.parse(jsonrepair(withoutCutPoint(withoutHashComments(withoutControls(text))))), wasMended: true };
  } catch {
    // Beyond mending: another part of the reply may be JSON.
    return undefined;
  }
}

/** Takes out `# …` to the end of a line, outside strings; the other comments are jsonrepair's. */
function withoutHashComments(text: string): string {
  return text.replace(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\\n])*'|(#[^\n]*)/g, (whole: string, comment: string | undefined) =>
    comment === undefined ? whole : '',
  );
}

/** Characters that no JSON may have as they are: colours of a terminal, zeros. Tabs and line breaks are jsonrepair's. */
function withoutControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, ' ');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Lists within lists, wrappers and texts that are JSON themselves are looked into so deep. */
const DEEPEST = 4;

function pointsOf(value: unknown, names: readonly string[], depth = 0): RawPoint[] {
  if (depth > DEEPEST) return [];
  const within = (inner: unknown) => pointsOf(inner, names, depth + 1);
  if (typeof value === 'string') return depth === 0 || !/^\s*[{[]/.test(value) ? [] : within(parsed(value, 0)?.value);
  if (Array.isArray(value)) return value.flatMap((entry) => (isRecord(entry) || Array.isArray(entry) ? within(entry) : []));
  if (!isRecord(value)) return [];
  const list = LISTS.map((key) => value[key]).find((inner) => Array.isArray(inner) || isRecord(inner));
  if (list !== undefined) {
    const found = within(list);
    // Not a list but numbered: `{"points": {"1": {…}, "2": {…}}}`.
    return found.length > 0 || !isRecord(list) ? found : Object.values(list).flatMap((entry) => (isRecord(entry) ? within(entry) : []));
  }
  const single = pointOf(value, names);
  if (single !== undefined) return [single];
  for (const key of WRAPPERS) {
    const found = within(value[key]);
    if (found.length > 0) return found;
  }
  return [];
}

/** `{params: {…}, reasoning}` or flat `{lr: …, reasoning}`. */
function pointOf(entry: unknown, names: readonly string[]): RawPoint | undefined {
  if (!isRecord(entry)) return undefined;
  const inner = PARAMS.filter((key) => !names.includes(key))
    .map((key) => entry[key])
    .find(isRecord);
  const params = inner ?? entry;
  const known = new Set(names.map(plain));
  if (!Object.keys(params).some((key) => known.has(plain(key)))) return undefined;
  const reasoning = REASONS.filter((key) => !names.includes(key))
    .map((key) => entry[key])
    .find((text) => typeof text === 'string');
  return { params, ...(typeof reasoning === 'string' ? { reasoning } : {}) };
}

/** `Learning-Rate` and `learning_rate` mean the same. */
export function plain(name: string): string {
  return name.toLowerCase().replace(/[\s_-]/g, '');
}
