import { type CampaignLook, isForgotten } from './campaign-watch.ts';
import { submitControl, taskEnd } from './control-tasks.ts';
import type { GlobusTask } from './wire.ts';

/**
 * Sends stop files for everything that is to stop, by one small task that is not waited for: it needs a free worker. A running agent polls them, a
 * queued attempt finds its own when it starts and ends unstarted.
 */
export async function sendStops({ facts, watch, target, signal }: CampaignLook): Promise<void> {
  if (watch.stopping) return;
  const due = Object.entries(facts.attempts).filter(
    ([, attempt]) => attempt.stop !== undefined && !attempt.stop.placed && attempt.ended === undefined,
  );
  const reason = due[0]?.[1].stop?.reason;
  if (reason === undefined) return;
  const names = due.filter(([, attempt]) => attempt.stop?.reason === reason).map(([name]) => name);
  const [id] = await submitControl(target, [{ op: 'stop', directory: facts.directory, names, reason }], signal);
  if (id !== undefined) watch.stopping = { id, names, at: performance.now() };
}

/** A stop file that lies in its place is not written again. */
export function takeInStops({ facts, watch, target, times }: CampaignLook, tasks: ReadonlyMap<string, GlobusTask>): void {
  if (!watch.stopping) return;
  const end = taskEnd(tasks.get(watch.stopping.id));
  if (end === undefined && !watch.health.hasRestarted && !isForgotten(watch.stopping.at, times)) return;
  if (end?.kind === 'failed' && /InvalidResourceSpecification/.test(end.text)) target.priority.isKnown = false;
  if (end?.kind === 'value') {
    for (const name of watch.stopping.names) {
      const stop = facts.attempts[name]?.stop;
      if (stop) stop.placed = true;
    }
  }
  delete watch.stopping;
}
