import { type QstatAnswer, readJobs } from './qstat-answer.ts';

/** Jobs that a message names; the others are counted. */
const NAMED = 5;

/**
 * Who holds the places of a limit of jobs (R14), in one sentence; nothing when PBS did not say.
 *
 * @example tellHolders(answer) // ['2 jobs hold the places: 12.server (other-job, R, ann), 13.server (hf-c.p1-0123456789ab, Q, hpo)']
 */
export function tellHolders(answer: QstatAnswer | null): string[] {
  const jobs = [...readJobs(answer).objects.values()];
  if (jobs.length === 0) return [];
  const named = jobs.slice(0, NAMED).map(({ id, attributes }) => {
    const owner = attributes.get('Job_Owner')?.split('@')[0] ?? '?';
    return `${id} (${attributes.get('Job_Name') ?? '?'}, ${attributes.get('job_state') ?? '?'}, ${owner})`;
  });
  const others = jobs.length > NAMED ? `, and ${jobs.length - NAMED} more` : '';
  return [`${jobs.length === 1 ? '1 job holds the place' : `${jobs.length} jobs hold the places`}: ${named.join(', ')}${others}`];
}
