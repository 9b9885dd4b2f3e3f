import { DriverError } from '../driver.ts';
import { MAX_BODY_BYTES } from './transport.ts';

/** Splits payloads into submissions below the service's size limit, in order. One payload that is too large alone stays alone (and is refused by name). */
export function splitPayloads(payloads: readonly string[], limitBytes: number = MAX_BODY_BYTES * 0.95): (readonly number[])[] {
  const parts: number[][] = [];
  let size = 0;
  payloads.forEach((payload, index) => {
    // JSON escapes quotes and backslashes once more on the wire.
    const bytes = Buffer.byteLength(JSON.stringify(payload)) + 1;
    const part = parts.at(-1);
    if (!part || size + bytes > limitBytes) {
      parts.push([index]);
      size = bytes;
    } else {
      part.push(index);
      size += bytes;
    }
  });
  return parts;
}

/**
 * Sends payloads part by part, in order. A part that the service finds too large all the same (413: its limit may change, a proxy may have a smaller one) is
 * sent as two halves; `alone` gets the error of a payload that is too large by itself.
 */
export async function sendInParts(
  payloads: readonly string[],
  send: (indices: readonly number[]) => Promise<void>,
  alone: (index: number, error: DriverError) => Promise<void>,
): Promise<void> {
  const waiting = splitPayloads(payloads);
  for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
    try {
      await send(part);
    } catch (error) {
      if (!(error instanceof DriverError) || error.code !== 'HF-GLOBUS-TOO-LARGE') throw error;
      const half = Math.ceil(part.length / 2);
      if (part.length > 1) waiting.unshift(part.slice(0, half), part.slice(half));
      else await alone(part[0] as number, error);
    }
  }
}
