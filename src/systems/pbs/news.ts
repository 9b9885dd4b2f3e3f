import { createHash } from 'node:crypto';
import type { LookRequest, LookResult } from '../driver.ts';

/** What the workflow has been told, as it comes back to us in the cursor. */
interface Told {
  /** Starts, ends, rungs, pilots. */
  readonly facts: string;
  /** Steps of running trials. */
  readonly steps: string;
  /** Milliseconds, this computer's clock. */
  readonly at: number;
}

type Seen = Omit<LookResult, 'cursor'>;

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url').slice(0, 22);
}

/** Comments repeat the time of the day and counts: these alone are no news. */
function gist(text: string | undefined): string {
  return (text ?? '').replace(/\d+/g, '#');
}

function toldBy(seen: Seen, at: number): Told {
  const facts = {
    ended: seen.ended.map((record) => `${record.campaign}/${record.trial}.${record.attempt}`).sort(),
    running: seen.running
      .flatMap(({ campaign, busy }) => busy.map((slot) => `${campaign}/${slot.trial}.${slot.attempt}:${slot.rungs.length}`))
      .sort(),
    pilots: seen.pilots
      .map(({ pilot, state, nativeId, comment, end }) => [pilot, state, nativeId ?? '', gist(comment), end?.kind ?? ''])
      .sort(),
    broken: seen.broken.map(({ campaign, name }) => `${campaign}/${name}`),
    notices: seen.notices.map(gist),
  };
  const steps = seen.running.flatMap(({ campaign, busy }) => busy.map((slot) => `${campaign}/${slot.trial}:${slot.step}`)).sort();
  return { facts: digest(facts), steps: digest(steps), at };
}

function readCursor(cursor: string | undefined): Told | undefined {
  const [facts, steps, at] = (cursor ?? '').split(' ');
  return facts && steps && Number(at) > 0 ? { facts, steps, at: Number(at) } : undefined;
}

/** The look with its cursor; undefined when it says nothing that the cursor's look did not (steps alone count every `progressSeconds`). */
export function newsOf(seen: Seen, request: LookRequest, now = Date.now()): LookResult | undefined {
  const told = toldBy(seen, now);
  const before = readCursor(request.cursor);
  const isDue = request.progressSeconds !== undefined && before !== undefined && now - before.at >= request.progressSeconds * 1000;
  const isNews = before === undefined || told.facts !== before.facts || (isDue && told.steps !== before.steps);
  return isNews ? { ...seen, cursor: `${told.facts} ${told.steps} ${told.at}` } : undefined;
}
