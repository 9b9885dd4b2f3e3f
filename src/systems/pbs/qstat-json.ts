import { ListingBuilder, type PbsListing } from './attributes.ts';

/** A JSON answer of qstat or pbsnodes; `unreadable`: ask for text instead. */
export type JsonListing =
  | { readonly kind: 'listing'; readonly listing: PbsListing; readonly isRepaired: boolean }
  | { readonly kind: 'unreadable'; readonly why: string };

const SECTIONS = { job: 'Jobs', queue: 'Queue', server: 'Server', node: 'nodes' } as const;

/**
 * Reads `qstat -f -F json` (and -Q, -B, pbsnodes) of both writers. Beyond JSON it takes what release 23.06.06 prints: bare words and numbers
 * such as nan, +5, 00, 0x0, and backslashes before any letter (goldens json-*). Everything becomes text again, with nested keys joined by a
 * dot, as in the text form. The document must be whole. A name that stands twice with different contents is damaged. An answer without the
 * section is an empty listing that is not complete: "nothing found" and "no connection" look the same (golden server-down-qstat-json).
 * Never throws.
 */
export function readPbsJson(answer: Buffer | string, form: keyof typeof SECTIONS): JsonListing {
  const text = answer.toString();
  // Most answers that were cut are told from whole ones by their last character alone.
  if (!text.trimEnd().endsWith('}')) return { kind: 'unreadable', why: 'the document does not end' };
  const reader = new LenientJson(text);
  let document: JsonValue;
  try {
    document = reader.read();
  } catch (error) {
    if (error instanceof NotJson) return { kind: 'unreadable', why: error.message };
    throw error;
  }
  if (!Array.isArray(document)) return { kind: 'unreadable', why: 'not an object' };
  const listing = new ListingBuilder();
  const section = document.find(([key]) => key === SECTIONS[form]);
  if (!section) listing.damage(undefined);
  else if (!Array.isArray(section[1])) return { kind: 'unreadable', why: `${SECTIONS[form]} is not an object` };
  else {
    for (const [id, value] of section[1]) {
      const attributes = Array.isArray(value) ? flatten(value) : undefined;
      if (attributes && attributes.size > 0) listing.add({ id, attributes });
      else listing.damage(id);
    }
  }
  return { kind: 'listing', listing: listing.finish(), isRepaired: reader.isRepaired };
}

/** `qstat -f -F json` of jobs. */
export function readQstatJson(answer: Buffer | string): JsonListing {
  return readPbsJson(answer, 'job');
}

/** Objects as pairs, so that a key that stands twice is seen; everything else as the text that was printed. */
type JsonValue = string | readonly (readonly [string, JsonValue])[];

/** Undefined when a key stands twice with different values (limits of queues excepted: openpbs issue 2677 prints one line a limit; they are joined). */
function flatten(pairs: readonly (readonly [string, JsonValue])[]): Map<string, string> | undefined {
  const attributes = new Map<string, string>();
  let isDamaged = false;
  const put = (name: string, value: JsonValue) => {
    if (Array.isArray(value)) for (const [key, inner] of value) put(`${name}.${key}`, inner);
    else if (typeof value === 'string') {
      const known = attributes.get(name);
      if (known === undefined) attributes.set(name, value);
      else if (known !== value && name.startsWith('max_')) attributes.set(name, `${known},${value}`);
      else if (known !== value) isDamaged = true;
    }
  };
  for (const [name, value] of pairs) put(name, value);
  return isDamaged ? undefined : attributes;
}

class NotJson extends Error {}

const ESCAPES: Readonly<Record<string, string>> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const BARE = /[^\s,\]}"{[:]+/y;
const PLAIN_JSON = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/;
const DEEPEST = 32;

class LenientJson {
  readonly #text: string;
  #at = 0;
  isRepaired = false;

  constructor(text: string) {
    this.#text = text;
  }

  read(): JsonValue {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) this.#fail('text behind the end');
    return value;
  }

  #fail(why: string): never {
    throw new NotJson(`${why} at character ${this.#at}`);
  }

  #space(): void {
    while (/[ \t\r\n]/.test(this.#text[this.#at] ?? '')) this.#at += 1;
  }

  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #value(depth: number): JsonValue {
    if (depth > DEEPEST) this.#fail('too deep');
    this.#space();
    const next = this.#text[this.#at];
    if (next === '{') return this.#object(depth);
    if (next === '[') return this.#array(depth);
    if (next === '"') return this.#string();
    BARE.lastIndex = this.#at;
    const bare = BARE.exec(this.#text)?.[0];
    if (bare === undefined) this.#fail('a value is missing');
    this.#at += bare.length;
    if (!PLAIN_JSON.test(bare)) this.isRepaired = true;
    return bare;
  }

  #object(depth: number): JsonValue {
    this.#at += 1;
    const pairs: [string, JsonValue][] = [];
    if (this.#take('}')) return pairs;
    do {
      this.#space();
      if (this.#text[this.#at] !== '"') this.#fail('a key is missing');
      const key = this.#string();
      if (!this.#take(':')) this.#fail('no colon behind a key');
      pairs.push([key, this.#value(depth + 1)]);
    } while (this.#take(','));
    if (!this.#take('}')) this.#fail('an object is not closed');
    return pairs;
  }

  #array(depth: number): JsonValue {
    this.#at += 1;
    const pairs: [string, JsonValue][] = [];
    if (this.#take(']')) return pairs;
    do pairs.push([String(pairs.length), this.#value(depth + 1)]);
    while (this.#take(','));
    if (!this.#take(']')) this.#fail('an array is not closed');
    return pairs;
  }

  #string(): string {
    let text = '';
    for (this.#at += 1; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text[this.#at] as string;
      if (character === '"') {
        this.#at += 1;
        return text;
      }
      if (character !== '\\') {
        text += character;
        continue;
      }
      this.#at += 1;
      const escaped = this.#text[this.#at] ?? '';
      const hex = /^[0-9a-fA-F]{4}$/.exec(this.#text.slice(this.#at + 1, this.#at + 5))?.[0];
      if (escaped === 'u' && hex !== undefined) {
        text += String.fromCharCode(Number.parseInt(hex, 16));
        this.#at += 4;
      } else if (ESCAPES[escaped] !== undefined) text += ESCAPES[escaped];
      else {
        this.isRepaired = true;
        text += `\\${escaped}`;
      }
    }
    return this.#fail('a string is not closed');
  }
}
