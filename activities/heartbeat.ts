import { activityInfo, cancellationSignal, heartbeat } from '@temporalio/activity';

/** Beats while `work` runs, with what it last said of itself; the beats are how a killed worker is noticed. */
export async function withHeartbeat<T>(
  work: (say: (note: unknown) => void, signal: AbortSignal) => Promise<T>,
  everyMs = 1500,
): Promise<T> {
  let note: unknown = activityInfo().heartbeatDetails;
  heartbeat(note);
  const timer = setInterval(() => heartbeat(note), everyMs);
  try {
    return await work((next) => {
      note = next;
    }, cancellationSignal());
  } finally {
    clearInterval(timer);
  }
}
