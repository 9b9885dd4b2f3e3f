/** Job ids of PBS: `1246.server.domain`, arrays `36[].server`, subjobs `36[2].server`. */

const FULL_ID = /^([1-9]\d{0,18}|0)(\[\d*\])?\.([A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?)$/;

/** True for an id with its server part. Nothing else may reach qstat or qdel: an empty word means all jobs, a word without digits a queue (goldens query-malformed*). */
export function isFullJobId(text: string): boolean {
  return FULL_ID.test(text);
}
