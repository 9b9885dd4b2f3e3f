import type { PbsProfile } from '../../spec/profile.ts';
import type { SshFinding } from '../../ssh/doctor.ts';
import { compareQueues } from './compare-queues.ts';
import type { PbsDriver } from './driver.ts';
import { readPbsText } from './qstat-text.ts';
import { type LiveQueue, readQueues } from './queues.ts';

interface SiteAnswer {
  readonly profile: PbsProfile;
  readonly queues: readonly LiveQueue[];
  /** `job_history_enable` of the server; undefined when it does not say. */
  readonly history: string | undefined;
}

interface Check {
  readonly id: string;
  readonly title: string;
  readonly judge: (site: SiteAnswer) => Pick<SshFinding, 'status' | 'found' | 'advice'>;
}

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
  {
    id: 'pbs-profile',
    title: 'Profile beside the site',
    judge: ({ profile, queues }) => {
      const differences = compareQueues(profile, queues);
      return differences.length === 0
        ? { status: 'ok', found: `as of ${profile.asOf}` }
        : {
            status: 'warn',
            found: `${differences.length} differences since ${profile.asOf}`,
            advice: `See them with holdfast systems diff ${profile.name}, then change the profile.`,
          };
    },
  },
];

/** Asks the site once and judges each row. Never throws: a site that does not answer is the one finding `pbs-server`. */
export async function diagnosePbs(profile: PbsProfile, driver: Pick<PbsDriver, 'inspect'>): Promise<SshFinding[]> {
  const server = { id: 'pbs-server', title: 'PBS server' };
  try {
    const { queues, server: told } = await driver.inspect();
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
    const site: SiteAnswer = { profile, queues: readQueues(listing), history };
    return [
      { ...server, status: 'ok', found: `${site.queues.length} queues` },
      ...CHECKS.map(({ id, title, judge }) => ({ id, title, ...judge(site) })),
    ];
  } catch (error) {
    return [{ ...server, status: 'fail', found: (error as Error).message, advice: 'Mend what the message names, then run doctor again.' }];
  }
}
