import type { PbsProfile } from '../../spec/profile.ts';
import type { SshFinding } from '../../ssh/doctor.ts';
import { type RemoteAllocation, readAllocations, tellBalances } from './allocation.ts';
import { compareQueues } from './compare-queues.ts';
import type { PbsDriver } from './driver.ts';
import type { RemoteMaintenance } from './exchange.ts';
import { closedTimes, describeClosed } from './maintenance.ts';
import { reservationsOf } from './maintenance-wait.ts';
import { readPbsText } from './qstat-text.ts';
import { type LiveQueue, readQueues } from './queues.ts';

interface SiteAnswer {
  readonly profile: PbsProfile;
  readonly queues: readonly LiveQueue[];
  /** `job_history_enable` of the server; undefined when it does not say. */
  readonly history: string | undefined;
  readonly maintenance: RemoteMaintenance | undefined;
  readonly allocation: RemoteAllocation | undefined;
}

interface Check {
  readonly id: string;
  readonly title: string;
  readonly judge: (site: SiteAnswer) => Judged;
}

type Judged = Pick<SshFinding, 'status' | 'found' | 'advice'>;

/** Questions about one PBS site, all read from one exchange. */
const CHECKS: readonly Check[] = [
  {
    id: 'pbs-history',
    title: 'Job history',
    judge: ({ history }) =>
      history === 'True'
        ? { status: 'ok', found: 'on' }
        : {
            status: 'warn',
            found: history === undefined ? 'the server does not say' : 'off',
            advice: 'Without history an empty answer of qselect is no proof that a job was never made: lost answers take longer to settle.',
          },
  },
  {
    id: 'pbs-queue',
    title: 'Default queue',
    judge: ({ profile, queues }) => {
      const queue = queues.find(({ name }) => name === profile.defaultQueue);
      if (!queue)
        return {
          status: 'fail',
          found: `${profile.defaultQueue} is not there`,
          advice: 'Set default_queue to one that holdfast systems diff lists.',
        };
      if (!queue.isEnabled)
        return {
          status: 'warn',
          found: `${queue.name} takes no jobs now`,
          advice: 'Wait for the site (maintenance?), or name another queue. Campaigns wait by themselves.',
        };
      if (!queue.isStarted)
        return {
          status: 'warn',
          found: `${queue.name} takes jobs and starts none now`,
          advice: 'Wait for the site (maintenance?). Jobs stay queued.',
        };
      return { status: 'ok', found: `${queue.name} is open` };
    },
  },
  { id: 'pbs-allocation', title: 'Node-hours left', judge: judgeAllocation },
  { id: 'pbs-maintenance', title: 'Maintenance', judge: judgeMaintenance },
  {
    id: 'pbs-profile',
    title: 'Profile beside the site',
    judge: ({ profile, queues }) => {
      const differences = compareQueues(profile, queues);
      return differences.length === 0
        ? { status: 'ok', found: `as of ${profile.asOf}` }
        : {
            status: 'warn',
            found: `${differences.length} ${differences.length === 1 ? 'difference' : 'differences'} since ${profile.asOf}`,
            advice: `See them with holdfast systems diff ${profile.name}, then change the profile.`,
          };
    },
  },
];

/** All projects of the account: which of them pays is said by the campaign. */
function judgeAllocation({ profile, allocation }: SiteAnswer): Judged {
  const command = profile.allocation?.command;
  if (allocation === undefined || command === undefined) {
    return {
      status: 'skip',
      found: 'the profile names no way to see it',
      advice: 'Add allocation: {command: sbank-list-allocations} to the profile.',
    };
  }
  const { exit, stdout, stderr } = allocation.list;
  const rows = exit === 0 ? readAllocations(stdout) : undefined;
  if (rows === undefined) {
    const words = (stderr.trim() || stdout.trim()).split('\n').at(-1)?.slice(0, 200) ?? '';
    return {
      status: 'warn',
      found: `${command} ended with ${exit}${words ? ` (${words})` : ''}`,
      advice: 'Set allocation.command of the profile, with its whole path, to what lists projects and node-hours there, or remove it.',
    };
  }
  const told = tellBalances(rows, Date.now());
  const found = told.map(({ words }) => words).join('; ');
  if (told.some(({ isShort }) => !isShort)) return { status: 'ok', found };
  return {
    status: 'warn',
    found: found || 'no project has an allocation here',
    advice: 'Jobs may be refused or run as backfill only. Ask the site for node-hours, or name another account in the campaign.',
  };
}

function judgeMaintenance({ profile, maintenance }: SiteAnswer): Judged {
  const command = profile.maintenance?.command;
  if (maintenance === undefined || (command === undefined && profile.maintenance?.windows.length === 0))
    return { status: 'skip', found: 'the profile names no way to see it', advice: 'Add maintenance: {command: pbs_rstat} to the profile.' };
  const { reservations, motd, clock } = maintenance;
  const said = motd.map((line) => `${profile.maintenance?.motd ?? '/etc/motd'}: ${line}`);
  if (reservations !== null && (reservations.exit !== 0 || reservations.stderr.trim() !== '')) {
    const words = reservations.stderr.trim().split('\n').at(-1) ?? '';
    return {
      status: 'warn',
      found: [`${command} -f ended with ${reservations.exit}${words ? ` (${words})` : ''}`, ...said].join('; '),
      advice: 'Put what the site announces into maintenance.windows of the profile: pilots are then kept out of it.',
    };
  }
  const ahead = closedTimes(profile, reservationsOf(maintenance)).filter(({ endSeconds }) => endSeconds > clock);
  const found = [...ahead.map(describeClosed), ...said].join('; ');
  if (found === '') return { status: 'ok', found: 'none ahead' };
  return {
    status: 'warn',
    found,
    advice:
      ahead.length > 0
        ? 'Nothing to do: pilots are shortened before it or wait until it is over.'
        : 'Only the message of the day says so: put it into maintenance.windows of the profile and pilots are kept out of it.',
  };
}

/** Asks the site once and judges each row. Never throws: a site that does not answer is the one finding `pbs-server`. */
export async function diagnosePbs(profile: PbsProfile, driver: Pick<PbsDriver, 'inspect'>): Promise<SshFinding[]> {
  const server = { id: 'pbs-server', title: 'PBS server' };
  try {
    const { queues, server: told, maintenance, allocation } = await driver.inspect();
    const listing = readPbsText(queues.stdout, 'queue');
    if (queues.exit !== 0 || !listing.isComplete) {
      const words = queues.stderr.trim().slice(0, 200);
      return [
        {
          ...server,
          status: 'fail',
          found: `qstat -Qf ended with ${queues.exit}${words ? ` (${words})` : ''}`,
          advice: 'Wait for the server; campaigns do. If qstat is not found, put its folder into the PATH of non-interactive shells.',
        },
      ];
    }
    const history = /^\s*job_history_enable = (\w+)$/m.exec(told.stdout)?.[1];
    const site: SiteAnswer = { profile, queues: readQueues(listing), history, maintenance, allocation };
    return [
      { ...server, status: 'ok', found: `${site.queues.length} queues` },
      ...CHECKS.map(({ id, title, judge }) => ({ id, title, ...judge(site) })),
    ];
  } catch (error) {
    return [{ ...server, status: 'fail', found: (error as Error).message, advice: 'Mend what the message names, then run doctor again.' }];
  }
}
