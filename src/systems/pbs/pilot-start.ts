import { DriverError, type PilotStart } from '../driver.ts';
import type { ExchangeRequest, Submission } from './exchange.ts';
import { EXIT_TABLE, judgeExit } from './exit-status.ts';
import { judgeSubmission } from './judge-pilots.ts';
import { tellHolders } from './limit-holders.ts';

/** Exit statuses of qsub after which there is certainly no job. */
const CERTAIN_EXITS = [...new Set(EXIT_TABLE.flatMap((row) => row.exits ?? []))].filter((exit) =>
  ['wait', 'refuse'].includes(judgeExit('qsub', exit, '').action),
);

/** What the remote side must know of qsub's exit statuses: after which there is certainly no job, and after which a limit of jobs is reached. */
export const QSUB_EXITS: Pick<NonNullable<ExchangeRequest['submit']>[number], 'certain_exits' | 'limit_exits'> = {
  certain_exits: CERTAIN_EXITS,
  limit_exits: CERTAIN_EXITS.filter((exit) => judgeExit('qsub', exit, '').code === 'HF-PBS-LIMIT'),
};

/** Seconds until a submission that the site made wait is tried again. */
const RETRY_SECONDS: Readonly<Record<string, number>> = {
  'HF-PBS-LIMIT': 300,
  'HF-PBS-QUEUE-CLOSED': 600,
  'HF-PBS-DOWN': 120,
  'HF-PBS-HUNG': 120,
  'HF-PBS-BUSY': 60,
};
const RETRY_SECONDS_OTHERWISE = 120;
const RETRY_SECONDS_GONE = 60;

/**
 * What the answer to a submission means for the pilot. `gone`: the notice that the campaign's launch folder was removed, where it was.
 * @throws DriverError `refused` for a campaign that has no launch folder.
 */
export function pilotStartOf(found: Submission | undefined, campaign: string, system: string, gone: string | undefined): PilotStart {
  if (found?.id !== undefined) return { kind: 'started', nativeId: found.id };
  if (found?.answer === 'no-launch' && gone !== undefined) return { kind: 'wait', message: gone, retrySeconds: RETRY_SECONDS_GONE };
  if (found?.answer === 'no-launch')
    throw new DriverError('refused', 'HF-PBS-LAUNCH', `campaign ${campaign} has no launch folder on ${system}. Start the campaign again.`);
  const verdict = found && judgeSubmission(found);
  if (!found?.given_up) return { kind: 'unknown', message: verdict?.message ?? 'The submission is still being looked up.' };
  if (verdict?.action === 'refuse') {
    const message = `${verdict.message}. ${verdict.advice}`.slice(0, 500);
    return { kind: 'refused', failure: { class: 'configuration_error', message, evidence: verdict.message } };
  }
  return {
    kind: 'wait',
    message: [verdict?.message ?? 'the site is busy', ...tellHolders(found.holders ?? null), verdict?.advice ?? ''].join('. '),
    retrySeconds: RETRY_SECONDS[verdict?.code ?? ''] ?? RETRY_SECONDS_OTHERWISE,
  };
}
