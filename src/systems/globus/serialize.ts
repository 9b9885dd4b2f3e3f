import { type PythonJson, PythonJsonError, parsePythonJson, stringifyPythonJson } from './python-json.ts';
import { UnpickleError, unpickle } from './unpickle.ts';

/**
 * Globus Compute's serialization, the part that needs no pickle: a buffer is a header of three characters and a body; buffers are packed as
 * `<length>\n<buffer>`, and a length counts Unicode code points (globus_compute_sdk.serialize; goldens/globus/serialized.json).
 */

/** The only result strategy we ask for: keeps pickle away from us. */
export const RESULT_SERIALIZERS: readonly string[] = ['globus_compute_sdk.serialize.JSONData'];

/** A buffer that cannot be read as a plain value. */
export class SerializationError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SerializationError';
  }
}

/** Unicode code points of a text, as Python's len counts them. A lone surrogate counts as one. */
export function codePoints(text: string): number {
  let count = text.length;
  for (let index = 0; index < text.length - 1; index++) {
    if (isPair(text, index)) {
      count--;
      index++;
    }
  }
  return count;
}

function isPair(text: string, index: number): boolean {
  const first = text.charCodeAt(index);
  const second = text.charCodeAt(index + 1);
  return first >= 0xd800 && first <= 0xdbff && second >= 0xdc00 && second <= 0xdfff;
}

/** Buffers one behind the other, each with its length. */
export function packBuffers(buffers: readonly string[]): string {
  return buffers.map((buffer) => `${codePoints(buffer)}\n${buffer}`).join('');
}

/** The buffers of a packed text. Throws SerializationError when a length is no number or points beyond the end. */
export function unpackBuffers(packed: string): string[] {
  const buffers: string[] = [];
  let at = 0;
  while (at < packed.length) {
    const newline = packed.indexOf('\n', at);
    const digits = newline < 0 ? '' : packed.slice(at, newline);
    if (!/^\d{1,9}$/.test(digits))
      throw new SerializationError(`packed buffers lack a length (character ${at}). The bytes are damaged; ask again.`);
    let end = newline + 1;
    for (let left = Number(digits); left > 0; left--) {
      if (end >= packed.length) throw new SerializationError(`packed buffers are truncated (character ${end}). Ask for them again.`);
      end += isPair(packed, end) ? 2 : 1;
    }
    buffers.push(packed.slice(newline + 1, end));
    at = end;
  }
  return buffers;
}

/** Source text of a function that the worker executes in an empty namespace; `name` must be its def. */
export function serializeSource(name: string, source: string): string {
  return `st\n${name}:${source}`;
}

/** `function_code` of POST /v3/functions. */
export function packFunction(name: string, source: string): string {
  return packBuffers([serializeSource(name, source)]);
}

/** A value in the SDK's JSON form: the identifier `11`, a line break, JSON as Python writes it. */
export function serializeJson(value: unknown): string {
  return `11\n${stringifyPythonJson(value)}`;
}

/** One payload of POST /v3/endpoints/EP/submit. */
export function packPayload(args: readonly unknown[], kwargs: Readonly<Record<string, unknown>> = {}): string {
  return packBuffers([serializeJson(args), serializeJson(kwargs)]);
}

/** What travels to the worker: the packed function and one payload. */
export function packTask(functionCode: string, payload: string): string {
  return functionCode + payload;
}

/** Reads a result buffer: JSON (`11`), plain pickles (`00`), or both together (`13`). Throws SerializationError. */
export function deserializeResult(buffer: string): PythonJson {
  const header = buffer.slice(0, 3);
  const read = READERS[header];
  if (!read)
    throw new SerializationError(`result has an unknown header ${JSON.stringify(header)}. Ask for JSON results (result_serializers).`);
  try {
    return read(buffer.slice(3));
  } catch (error) {
    if (error instanceof PythonJsonError || error instanceof UnpickleError) throw new SerializationError(error.message, { cause: error });
    throw error;
  }
}

const READERS: Readonly<Record<string, (body: string) => PythonJson>> = {
  '11\n': parsePythonJson,
  '00\n': (body) => unpickle(Buffer.from(body.replace(/\s+/g, ''), 'base64')),
  '13\n': (body) => firstReadable(unpackBuffers(body)),
};

function firstReadable(buffers: readonly string[]): PythonJson {
  let last: unknown;
  for (const buffer of buffers) {
    try {
      return deserializeResult(buffer);
    } catch (error) {
      last = error;
    }
  }
  throw new SerializationError('combined result has no part that can be read. Ask for JSON results (result_serializers).', { cause: last });
}
