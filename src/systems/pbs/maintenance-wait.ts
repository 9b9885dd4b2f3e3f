import type { PbsProfile } from '../../spec/profile.ts';
import type { PilotRequest, PilotStart } from '../driver.ts';
import type { ExchangeRequest, RemoteMaintenance } from './exchange.ts';
import { closedTimes, describeClosed, fitBefore, minute } from './maintenance.ts';
import { writeWalltime } from './queues.ts';
import { readReservations } from './reservations.ts';

/** A maintenance may end early or be called off: the site is asked again at least this often. */
const ASK_AGAIN_SECONDS = 600;

export type PilotFit =
  | { readonly kind: 'submit'; readonly walltimeSeconds?: number; readonly note?: string }
  | Extract<PilotStart, { kind: 'wait' }>;

export type AskMaintenance = (question: NonNullable<ExchangeRequest['maintenance']>) => Promise<RemoteMaintenance | undefined>;

/** What the system's profile says to ask. */
export function maintenanceQuestion(profile: PbsProfile): NonNullable<ExchangeRequest['maintenance']> {
  const { command, motd = '/etc/motd' } = profile.maintenance ?? {};
  return { ...(command === undefined ? {} : { command }), motd };
}

/** Reservations of an answer. One that failed, or came with words on stderr, proves nothing: PBS itself still keeps jobs out of a maintenance. */
export function reservationsOf({ reservations }: Pick<RemoteMaintenance, 'reservations'>) {
  return reservations !== null && reservations.exit === 0 && reservations.stderr.trim() === '' ? readReservations(reservations.stdout) : [];
}

/**
 * Before a pilot is submitted (R13): as it is, with less walltime so that it ends before the next maintenance, or not yet. A pilot that was
 * submitted before is never held: its job may be there. Nothing is asked where the profile knows of no maintenance.
 */
export async function fitBeforeMaintenance(profile: PbsProfile, request: PilotRequest, ask: AskMaintenance): Promise<PilotFit> {
  const known = profile.maintenance;
  if (known === undefined || (known.command === undefined && known.windows.length === 0)) return { kind: 'submit' };
  const found = await ask({ ...maintenanceQuestion(profile), campaign: request.campaign, pilot: request.pilot });
  const pilot = found?.pilot;
  if (!found || !pilot || pilot.is_made || pilot.across_maintenance) return { kind: 'submit' };
  const walltime = request.walltimeSeconds ?? pilot.walltime_seconds;
  const fit = fitBefore(closedTimes(profile, reservationsOf(found)), found.clock, walltime, pilot.least_seconds ?? known.useful);
  if (fit.kind === 'whole') return { kind: 'submit' };
  const what = describeClosed(fit.before);
  if (fit.kind === 'shorter') {
    const note = `walltime ${writeWalltime(fit.walltimeSeconds)} instead of ${writeWalltime(walltime)}, to end before ${what}`;
    return { kind: 'submit', walltimeSeconds: fit.walltimeSeconds, note };
  }
  return {
    kind: 'wait',
    message: `held until ${minute(fit.untilSeconds)} UTC: ${what}. Set across_maintenance: true to submit all the same`,
    retrySeconds: Math.ceil(Math.min(ASK_AGAIN_SECONDS, Math.max(1, fit.untilSeconds - found.clock))),
  };
}
