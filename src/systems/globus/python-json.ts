/**
 * JSON as Python's json module writes and reads it: bare NaN, Infinity and -Infinity, integers of any length.
 * A diverged training answers with exactly these, and JSON.parse throws on them.
 */
export type PythonJson = null | boolean | number | bigint | string | readonly PythonJson[] | { readonly [key: string]: PythonJson };

/** A text that is not JSON in Python's sense. */
export class PythonJsonError extends Error {
  constructor(message: string, position: number) {
    super(`JSON text ${message} (character ${position}). Ask the endpoint for the result again.`);
    this.name = 'PythonJsonError';
  }
}

const LITERALS: readonly (readonly [text: string, value: PythonJson])[] = [
  ['null', null],
  ['true', true],
  ['false', false],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
];
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
/** Deeper nesting than this is refused instead of exhausting the stack; Python's own limit is about 1,000. */
const MAX_DEPTH = 2_000;

/** Reads one JSON value. Integers above 2^53 become bigint. Throws PythonJsonError. */
export function parsePythonJson(text: string): PythonJson {
  // The common case costs nothing: no bare words that only Python knows and no integer that a double could not hold.
  if (!/NaN|Infinity|\d{16}/.test(text)) {
    try {
      return JSON.parse(text) as PythonJson;
    } catch {
      // The reader below says where the text is wrong.
    }
  }
  const reader: Reader = { text, at: 0, depth: 0 };
  const value = readValue(reader);
  skipSpace(reader);
  if (reader.at !== text.length) throw new PythonJsonError('goes on after its value', reader.at);
  return value;
}

interface Reader {
  readonly text: string;
  at: number;
  depth: number;
}

function skipSpace(reader: Reader): void {
  SPACE.lastIndex = reader.at;
  SPACE.test(reader.text);
  reader.at = SPACE.lastIndex;
}

function readValue(reader: Reader): PythonJson {
  skipSpace(reader);
  const first = reader.text[reader.at];
  if (first === '{' || first === '[') {
    if (++reader.depth > MAX_DEPTH) throw new PythonJsonError('is nested too deeply', reader.at);
    const value = first === '{' ? readObject(reader) : readArray(reader);
    reader.depth--;
    return value;
  }
  if (first === '"') return readString(reader);
  for (const [word, value] of LITERALS) {
    if (reader.text.startsWith(word, reader.at)) {
      reader.at += word.length;
      return value;
    }
  }
  return readNumber(reader);
}

function readNumber(reader: Reader): PythonJson {
  NUMBER.lastIndex = reader.at;
  const match = NUMBER.exec(reader.text);
  if (!match) throw new PythonJsonError(reader.at >= reader.text.length ? 'ends too early' : 'has no value', reader.at);
  reader.at = NUMBER.lastIndex;
  const value = Number(match[0]);
  if (match[1] !== undefined || match[2] !== undefined) return value;
  // "-0" is the integer 0 to Python.
  return Number.isSafeInteger(value) ? value + 0 : BigInt(match[0]);
}

function readString(reader: Reader): string {
  const end = endOfString(reader.text, reader.at);
  if (end === undefined) throw new PythonJsonError('has a string without an end', reader.at);
  try {
    const value: unknown = JSON.parse(reader.text.slice(reader.at, end));
    reader.at = end;
    return value as string;
  } catch {
    throw new PythonJsonError('has a broken string', reader.at);
  }
}

/** Behind the closing quote. No regular expression: its stack overflows in a string of some megabytes, as pieces of files are. */
function endOfString(text: string, from: number): number | undefined {
  let quote = text.indexOf('"', from + 1);
  while (quote !== -1) {
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    quote = text.indexOf('"', quote + 1);
  }
  return undefined;
}

function readArray(reader: Reader): PythonJson[] {
  const items: PythonJson[] = [];
  reader.at++;
  skipSpace(reader);
  if (reader.text[reader.at] === ']') {
    reader.at++;
    return items;
  }
  for (;;) {
    items.push(readValue(reader));
    if (endsHere(reader, ']')) return items;
  }
}

function readObject(reader: Reader): { [key: string]: PythonJson } {
  const members: { [key: string]: PythonJson } = {};
  reader.at++;
  skipSpace(reader);
  if (reader.text[reader.at] === '}') {
    reader.at++;
    return members;
  }
  for (;;) {
    skipSpace(reader);
    if (reader.text[reader.at] !== '"') throw new PythonJsonError('has a key without quotes', reader.at);
    const key = readString(reader);
    skipSpace(reader);
    if (reader.text[reader.at] !== ':') throw new PythonJsonError('has a key without a colon', reader.at);
    reader.at++;
    const value = readValue(reader);
    // A plain assignment to __proto__ would change the object's prototype.
    Object.defineProperty(members, key, { value, enumerable: true, configurable: true, writable: true });
    if (endsHere(reader, '}')) return members;
  }
}

function endsHere(reader: Reader, end: ']' | '}'): boolean {
  skipSpace(reader);
  const next = reader.text[reader.at];
  if (next !== end && next !== ',') throw new PythonJsonError(next === undefined ? 'ends too early' : `lacks a comma or ${end}`, reader.at);
  reader.at++;
  return next === end;
}

/**
 * Writes a value as Python's json.dumps does with its defaults (", " and ": ", ASCII only). Throws TypeError for what JSON cannot hold
 * (undefined, functions, cycles).
 */
export function stringifyPythonJson(value: unknown): string {
  return write(value, new Set());
}

function write(value: unknown, above: Set<object>): string {
  switch (typeof value) {
    case 'boolean':
      return String(value);
    case 'bigint':
      return value.toString();
    case 'string':
      return writeString(value);
    case 'number':
      return writeNumber(value);
    case 'object':
      return value === null ? 'null' : writeContainer(value, above);
    default:
      throw new TypeError(`A ${typeof value} cannot travel to a Globus Compute task. Send JSON values only.`);
  }
}

function writeContainer(value: object, above: Set<object>): string {
  if (above.has(value)) throw new TypeError('A value that contains itself cannot travel to a Globus Compute task. Send a tree.');
  above.add(value);
  const text = Array.isArray(value)
    ? `[${value.map((item) => write(item, above)).join(', ')}]`
    : `{${Object.entries(value)
        .filter(([, member]) => member !== undefined)
        .map(([key, member]) => `${writeString(key)}: ${write(member, above)}`)
        .join(', ')}}`;
  above.delete(value);
  return text;
}

function writeString(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function writeNumber(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  // NaN, Infinity and -Infinity have the same names in both languages; Python writes exponents with two digits at least.
  return String(value).replace(/e([-+])(\d)$/, 'e$10$2');
}
