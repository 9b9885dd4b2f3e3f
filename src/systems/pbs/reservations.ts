import { readPbsText } from './qstat-text.ts';

/** A reservation as `pbs_rstat -f` shows it. Seconds since the epoch. */
export interface Reservation {
  readonly id: string;
  readonly name?: string;
  readonly state: string;
  readonly startSeconds: number;
  readonly endSeconds: number;
  /** Hosts that it takes away; undefined when the answer does not say. */
  readonly nodes?: number;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Mon Nov 30 06:00:00 2026`, printed under TZ=UTC and LC_ALL=C (OpenPBS src/cmds/pbs_rstat.c, display_single_reservation) → epoch seconds. */
function readStamp(text: string | undefined): number | undefined {
  const match = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/.exec(text ?? '');
  const month = MONTHS.indexOf(match?.[1] ?? '');
  if (!match || month < 0) return undefined;
  const [day, hour, minute, second, year] = match.slice(2).map(Number) as [number, number, number, number, number];
  return Date.UTC(year, month, day, hour, minute, second) / 1000;
}

/** `(node-1:ncpus=8)+(node-2[0]:ncpus=4+node-2[1]:ncpus=4)` → 2 hosts. */
function hostsIn(text: string): number {
  return new Set(text.split(/[()+]/).flatMap((chunk) => /^([A-Za-z0-9][\w.-]*)/.exec(chunk)?.[1] ?? [])).size;
}

/**
 * Reads `pbs_rstat -f`: layout of `qstat -f` without the indent. A reservation without start or end is left out, and so is one whose answer was
 * cut. Of standing reservations PBS shows the first occurrence only (ALCF user guide, machine-reservations), which by then lies in the past.
 * Never throws.
 */
export function readReservations(text: string): readonly Reservation[] {
  return [...readPbsText(text, 'reservation').objects.values()].flatMap(({ id, attributes }): Reservation[] => {
    const startSeconds = readStamp(attributes.get('reserve_start'));
    const endSeconds = readStamp(attributes.get('reserve_end'));
    if (startSeconds === undefined || endSeconds === undefined) return [];
    const name = attributes.get('Reserve_Name');
    const hosts = hostsIn(attributes.get('resv_nodes') ?? '');
    const count = Number(attributes.get('Resource_List.nodect') ?? Number.NaN);
    const nodes = hosts > 0 ? hosts : Number.isInteger(count) && count > 0 ? count : undefined;
    return [
      {
        id,
        ...(name === undefined || name === 'NULL' ? {} : { name }),
        state: attributes.get('reserve_state') ?? '',
        startSeconds,
        endSeconds,
        ...(nodes === undefined ? {} : { nodes }),
      },
    ];
  });
}
