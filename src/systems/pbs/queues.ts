import type { PbsListing, PbsObject } from './attributes.ts';

/** A queue as `qstat -Qf` shows it now. Absent numbers: no limit. */
export interface LiveQueue {
  readonly name: string;
  readonly isRouting: boolean;
  /** False: takes no jobs (qsub exit 173). */
  readonly isEnabled: boolean;
  /** False: takes jobs and starts none. */
  readonly isStarted: boolean;
  readonly fromRouteOnly: boolean;
  readonly minNodes?: number;
  readonly maxNodes?: number;
  readonly minWalltimeSeconds?: number;
  readonly maxWalltimeSeconds?: number;
  /** Queued and running jobs of one user. */
  readonly maxQueuedPerUser?: number;
  readonly maxRunningPerUser?: number;
}

/** `HH:MM:SS`, `MM:SS` or seconds → seconds; undefined for anything else. */
export function readWalltime(text: string): number | undefined {
  if (!/^\d{1,9}(:\d{1,2}){0,2}$/.test(text)) return undefined;
  return text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** Seconds → `HH:MM:SS`, hours as many as needed: `168:00:00`. */
export function writeWalltime(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60].map((part) => String(part).padStart(2, '0')).join(':');
}

/** `[u:PBS_GENERIC=1],[p:PBS_GENERIC=100]` → the limit of the generic user; named users are others' business. */
function perUser(text: string | undefined): number | undefined {
  const match = /\bu:PBS_GENERIC=(\d{1,9})\b/.exec(text ?? '');
  return match ? Number(match[1]) : undefined;
}

function queue({ id, attributes }: PbsObject): LiveQueue {
  const number = (name: string) => {
    const text = attributes.get(name);
    return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
  };
  const seconds = (name: string) => readWalltime(attributes.get(name) ?? '');
  const limits = {
    minNodes: number('resources_min.nodect'),
    maxNodes: number('resources_max.nodect'),
    minWalltimeSeconds: seconds('resources_min.walltime'),
    maxWalltimeSeconds: seconds('resources_max.walltime'),
    maxQueuedPerUser: perUser(attributes.get('max_queued')),
    maxRunningPerUser: perUser(attributes.get('max_run')),
  };
  return {
    name: id,
    isRouting: attributes.get('queue_type') === 'Route',
    isEnabled: attributes.get('enabled') !== 'False',
    isStarted: attributes.get('started') !== 'False',
    fromRouteOnly: attributes.get('from_route_only') === 'True',
    ...Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined)),
  };
}

/** Queues of a listing (readPbsText or readPbsJson, form `queue`), by name. */
export function readQueues(listing: PbsListing): readonly LiveQueue[] {
  return [...listing.objects.values()].map(queue).sort((a, b) => (a.name < b.name ? -1 : 1));
}
