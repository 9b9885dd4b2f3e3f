import * as z from 'zod';
import { parseDuration } from './durations.ts';
import { parseSize } from './sizes.ts';

/** Building blocks of every schema of a file: what a person may write for a number, a duration, a yes or no. */

const NUMBER_TEXT = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;

/** Texts like `1e-5` count as numbers: some YAML writers quote them, and YAML 1.1 readers made texts of them (row C14). */
function readNumber(value: unknown): unknown {
  return typeof value === 'string' && NUMBER_TEXT.test(value.trim()) ? Number(value) : value;
}

export const number = (rule: z.ZodNumber = z.number()) => z.preprocess(readNumber, rule);
export const integer = (rule: z.ZodNumber = z.number()) => number(rule.int());
export const positiveNumber = () => number(z.number().positive());
export const positiveInteger = () => integer(z.number().positive());
export const countFromZero = () => integer(z.number().nonnegative());

/** Text of at least one character. */
export const text = () => z.string().trim().min(1);

/** Seconds, from a number of seconds or a text like `6h`, `90m`, `01:00:00`. */
export const duration = () =>
  z
    .union([z.number(), z.string()])
    .transform((value, context) => {
      const seconds = parseDuration(value);
      if (seconds === undefined || seconds <= 0) {
        context.addIssue({
          code: 'custom',
          message: `is ${JSON.stringify(value)}, but must be a time above zero: seconds, or a text like 90s, 15m, 6h, 2d, 01:30:00`,
        });
        return z.NEVER;
      }
      return seconds;
    })
    .meta({ description: 'Seconds, or a text like 90s, 15m, 6h, 2d, 01:30:00' });

/** Day or instant in ISO 8601, with its zone where it is an instant; kept as text. */
export const day = () => z.string().regex(/^\d{4}-\d{2}-\d{2}$/, 'must be a day like 2026-08-19');

/** Milliseconds since the epoch of `2026-12-20T18:00:00Z` or `2026-12-20 12:00-06:00`; undefined without a zone. */
export function readInstant(value: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/.test(value)) return undefined;
  const milliseconds = Date.parse(value.replace(' ', 'T'));
  return Number.isNaN(milliseconds) ? undefined : milliseconds;
}

/** Seconds since the epoch, from an instant with its zone. */
export const instant = () =>
  z
    .string()
    .transform((value, context) => {
      const milliseconds = readInstant(value);
      if (milliseconds === undefined) {
        context.addIssue({
          code: 'custom',
          message: `is ${JSON.stringify(value)}, but must be an instant with its zone like 2026-12-20T18:00:00Z`,
        });
        return z.NEVER;
      }
      return milliseconds / 1000;
    })
    .meta({ description: 'Instant with its zone, ISO 8601' });

/** Values of environment variables: numbers and booleans become text. */
export const environment = () =>
  z.record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is no name of an environment variable'),
    z.union([z.string(), z.number(), z.boolean()]).transform(String),
  );

/** One text or a list of texts; given on as a list. */
export const textList = () => z.union([text(), z.array(text())]).transform((value) => (typeof value === 'string' ? [value] : value));

/** Bytes, from a number or a text like `64MiB`. */
export const size = () =>
  z
    .union([z.number(), z.string()])
    .transform((value, context) => {
      const bytes = parseSize(value);
      if (bytes === undefined || bytes <= 0) {
        context.addIssue({
          code: 'custom',
          message: `is ${JSON.stringify(value)}, but must be a size above zero: bytes, or a text like 64MiB`,
        });
        return z.NEVER;
      }
      return bytes;
    })
    .meta({ description: 'Bytes, or a text like 64MiB' });
