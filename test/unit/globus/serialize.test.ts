import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PythonJson, parsePythonJson, stringifyPythonJson } from '../../../src/systems/globus/python-json.ts';
import {
  codePoints,
  deserializeResult,
  packBuffers,
  packFunction,
  packPayload,
  packTask,
  SerializationError,
  serializeJson,
  serializeSource,
  unpackBuffers,
} from '../../../src/systems/globus/serialize.ts';
import { unpickle } from '../../../src/systems/globus/unpickle.ts';

interface DataRow {
  strategy: string;
  value?: unknown;
  python?: string;
  text: string;
}
const fixture = new URL('../../fixtures/globus/serialized.json', import.meta.url);
const text = readFileSync(fixture, 'utf8');
const golden = JSON.parse(text) as {
  source: string;
  code: { strategy: string; text: string; object?: string }[];
  data: DataRow[];
  pack_buffers: { buffers: string[]; function_code: string; payload: string; task_buffer: string };
};
const workerResults = JSON.parse(readFileSync(new URL('../../fixtures/globus/worker_results.json', import.meta.url), 'utf8')) as {
  cases: Record<string, { data: string; error_details: null | { code: string } }>;
};

describe('what the real SDK wrote', () => {
  it('source text is byte-equal to the golden', () => {
    expect(serializeSource('train', golden.source)).toBe(golden.code.find((row) => row.strategy === 'PureSourceTextInspect')?.text);
    expect(packFunction('train', golden.source)).toBe(golden.pack_buffers.function_code);
  });

  it('a payload and a whole task are byte-equal to the goldens', () => {
    const payload = packPayload([0.5], { epochs: 2, 'é🚀': '𝒳' });
    expect(payload).toBe(golden.pack_buffers.payload);
    expect(packTask(packFunction('train', golden.source), payload)).toBe(golden.pack_buffers.task_buffer);
    expect(packBuffers(golden.pack_buffers.buffers)).toBe(golden.pack_buffers.task_buffer);
    expect(unpackBuffers(golden.pack_buffers.task_buffer)).toEqual(golden.pack_buffers.buffers);
  });

  const values = golden.data.filter((row) => row.strategy === 'JSONData' && 'value' in row);
  it.each(values.map((row) => [row.text, row] as const))('JSONData %j is written alike and read back', (_, row) => {
    const value = parsePythonJson(row.text.slice(3));
    expect(deserializeResult(row.text)).toEqual(value);
    expect(serializeJson(value)).toBe(row.text);
  });

  it('every strategy of one value reads as the same value', () => {
    for (const row of golden.data.filter((candidate) => 'value' in candidate && candidate.strategy !== 'JSONData')) {
      const twin = values.find(
        (candidate) => JSON.stringify(candidate.value) === JSON.stringify(row.value) && Object.is(candidate.value, row.value),
      );
      const byText = twin ?? values.find((candidate) => JSON.stringify(candidate.value) === JSON.stringify(row.value));
      expect(byText, row.text).toBeDefined();
      const read = deserializeResult(row.text);
      expect(typeof read === 'number' ? read + 0 : read).toEqual(
        typeof read === 'number' ? (deserializeResult(byText?.text ?? '') as number) + 0 : deserializeResult(byText?.text ?? ''),
      );
    }
  });

  it('NaN, the infinities and integers above 2^53 are read, and written back unchanged', () => {
    expect(deserializeResult('11\nNaN')).toBeNaN();
    expect(deserializeResult('11\n[Infinity, -Infinity]')).toEqual([Infinity, -Infinity]);
    expect(deserializeResult('11\n9007199254740993')).toBe(9007199254740993n);
    expect(deserializeResult('11\n-0.0')).toBe(-0);
    expect(stringifyPythonJson({ loss: Number.NaN, seed: 2n ** 70n })).toBe('{"loss": NaN, "seed": 1180591620717411303424}');
  });

  it('plain pickles are read and one that names a class is refused', () => {
    const python = (expression: string) =>
      golden.data.find((row) => row.strategy === 'DillDataBase64' && row.python === expression)?.text ?? '';
    expect(deserializeResult(python("(1, 'two')"))).toEqual([1, 'two']);
    expect(deserializeResult(python("b'bytes'"))).toBe(Buffer.from('bytes').toString('base64'));
    expect(deserializeResult(python('{1, 2}'))).toEqual([1, 2]);
    expect(deserializeResult(python("float('nan')"))).toBeNaN();
    expect(() => deserializeResult(python('uuid'))).toThrow(/Python class/);
    expect(deserializeResult(workerResults.cases.default_dill?.data ?? '')).toEqual({ loss: 0.25 });
  });

  it('every result of the real worker that is no error can be read', () => {
    for (const [name, row] of Object.entries(workerResults.cases)) {
      if (row.error_details === null) expect(() => deserializeResult(row.data), name).not.toThrow();
      else if (/^\d\d\n/.test(row.data)) expect.fail(`${name} looks like a result`);
    }
  });
});

describe('damaged bytes', () => {
  it.each([
    '',
    '99\nx',
    '11\n{"a": ',
    '11\n[1, ]',
    '11\nnul',
    '11\n"\u0001',
    '00\n!!!',
    '00\ngASVFAAAAAAAAAB9lIwEbG9z',
    '13\n7\n11\n',
    '11\n[1] 2',
  ])('%j is a SerializationError, never a value', (buffer) => {
    expect(() => deserializeResult(buffer)).toThrow(SerializationError);
  });

  it('every truncation of packed buffers is refused or shorter', () => {
    const packed = packPayload(['🚀🚀', { deep: [1, null] }], { naïve: true });
    for (let end = 1; end < packed.length; end++) {
      let buffers: string[] = [];
      try {
        buffers = unpackBuffers(packed.slice(0, end));
      } catch (error) {
        expect(error).toBeInstanceOf(SerializationError);
      }
      expect(buffers.length).toBeLessThan(2);
    }
  });

  it('random bytes after a pickle header never hang or escape as another error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          unpickle(bytes);
        } catch (error) {
          expect((error as Error).name).toBe('UnpickleError');
        }
      }),
      { numRuns: 2_000, verbose: 1 },
    );
  });

  it('strings as long as a result may be are read, escapes and NaN within them', () => {
    // 10 MiB is the service's limit; with a NaN anywhere the text is none for JSON.parse.
    const read = deserializeResult(`11\n["${'Q'.repeat(10_400_000)}", "${'\\\\\\"'.repeat(1_000)}", NaN, "\\\\"]`) as unknown[];
    expect([(read[0] as string).length, (read[1] as string).length, ...read.slice(2)]).toEqual([10_400_000, 2_000, Number.NaN, '\\']);
    expect(() => deserializeResult(`11\n["${'Q'.repeat(10_400_000)}, NaN]`)).toThrow(SerializationError);
  });

  it('a key __proto__ stays a key', () => {
    const value = parsePythonJson('{"__proto__": 12345678901234567890}') as { [key: string]: PythonJson };
    expect(Object.hasOwn(value, '__proto__')).toBe(true);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  it('what JSON cannot hold is refused before it is sent', () => {
    const loop: unknown[] = [];
    loop.push(loop);
    expect(() => stringifyPythonJson(loop)).toThrow(/contains itself/);
    expect(() => stringifyPythonJson([() => 1])).toThrow(/function/);
  });
});

describe('lengths', () => {
  it('count code points for any text, lone surrogates too', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (sample) => {
        expect(codePoints(sample)).toBe([...sample].length);
        expect(unpackBuffers(packBuffers([sample, 'x']))).toEqual([sample, 'x']);
      }),
    );
  });
});
