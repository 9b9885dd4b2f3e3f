import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { LookResult } from '../driver.ts';
import { parseRecord } from '../spool/records.ts';

/** What a look has told, so that the next one tells only news. Opaque to the workflow. */
const cursorSchema = z.object({
  /** Digest of what is news at once: what runs, rungs reached, pilots. */
  state: z.string(),
  /** Done records told and not yet acknowledged. */
  ended: z.array(z.string()),
  /** Digest of steps and values of what runs, and when it was told (ms since the epoch, this computer's clock). */
  progress: z.string(),
  progressAt: z.number(),
});
export type Cursor = z.output<typeof cursorSchema>;

/** A start is told once the trial has run this long: shorter ones are heard of by their end, which saves their workflows a message. */
export const TOLD_AFTER_SECONDS = 1;

/** The cursor that the last look gave; undefined without one, or one of another version: then everything is news. */
export function readCursor(text: string | undefined): Cursor | undefined {
  if (text === undefined) return undefined;
  const parsed = parseRecord(cursorSchema, text);
  return 'record' in parsed ? parsed.record : undefined;
}

/** The cursor after a look; `now` in milliseconds. */
export function cursorOf(seen: Omit<LookResult, 'cursor'>, endedIds: readonly string[], now: number): Cursor {
  const lasting = seen.running.flatMap(({ campaign, pilot, busy }) =>
    busy.filter((slot) => slot.run_seconds >= TOLD_AFTER_SECONDS).map((slot) => ({ campaign, pilot, slot })),
  );
  const starts = lasting.map(({ campaign, pilot, slot }) => [campaign, pilot, slot.trial, slot.attempt, slot.rungs.length]);
  const pilots = seen.pilots.map(({ pilot, state, end }) => [pilot, state, end?.kind]);
  return {
    state: digest([starts.sort(), pilots]),
    ended: endedIds.map((id) => digest(id)),
    progress: digest(lasting.map(({ campaign, slot }) => [campaign, slot.trial, slot.step, slot.value])),
    progressAt: now,
  };
}

/** Whether `after` holds something that `before` has not told. Progress alone counts only every `progressSeconds`; undefined: never. */
export function isNews(before: Cursor | undefined, after: Cursor, progressSeconds: number | undefined): boolean {
  if (before === undefined) return true;
  if (after.state !== before.state || after.ended.some((id) => !before.ended.includes(id))) return true;
  if (progressSeconds === undefined || after.progress === before.progress) return false;
  return Math.abs(after.progressAt - before.progressAt) >= progressSeconds * 1000;
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12);
}
