/** Job ids of PBS: `1246.server.domain`, arrays `36[].server`, subjobs `36[2].server`. */

const FULL_ID = /^([1-9]\d{0,18}|0)(\[\d*\])?\.([A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?)$/;

/** True for an id with its server part. Nothing else may reach qstat or qdel: an empty word means all jobs, a word without digits a queue (goldens query-malformed*). */
export function isFullJobId(text: string): boolean {
  return FULL_ID.test(text);
}

/**
 * The id that qsub printed: the one line of stdout that is a full id, whatever a site prints around it. Undefined when there is none or more
 * than one: then it is not known what was submitted.
 */
export function readQsubId(stdout: string): string | undefined {
  const ids = stdout
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(isFullJobId);
  return ids.length === 1 ? ids[0] : undefined;
}

/** What qselect printed: full ids, one a line; undefined when any line is something else (then the answer proves nothing). */
export function readQselectIds(stdout: string): readonly string[] | undefined {
  const lines = stdout
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return lines.every(isFullJobId) ? lines : undefined;
}
