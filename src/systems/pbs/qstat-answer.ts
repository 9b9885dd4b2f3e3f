import type { PbsListing, PbsObject } from './attributes.ts';
import { readQstatJson } from './qstat-json.ts';
import { readQstatText } from './qstat-text.ts';

/** What exchange.py got for all ids: text, or JSON one by one where the client knows neither -E nor -w. */
export interface QstatAnswer {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly json?: readonly { readonly exit: number; readonly stdout: string }[] | undefined;
}

/** "Unknown Job Id": the id is certainly not there. */
const UNKNOWN_JOB = 153;

/** The jobs of an answer, whichever form it came in. Never throws; what cannot be read makes the listing incomplete, so that nothing is proven absent. */
export function readJobs(answer: QstatAnswer | null): PbsListing {
  if (answer?.json === undefined) return readQstatText(answer?.stdout ?? '');
  const objects = new Map<string, PbsObject>();
  const damaged: string[] = [];
  let isComplete = true;
  for (const { exit, stdout } of answer.json) {
    if (exit === UNKNOWN_JOB) continue;
    const read = readQstatJson(stdout);
    if (read.kind !== 'listing' || exit !== 0) {
      isComplete = false;
      continue;
    }
    for (const [id, job] of read.listing.objects) objects.set(id, job);
    damaged.push(...read.listing.damaged);
    isComplete &&= read.listing.isComplete;
  }
  return { objects, damaged, isComplete };
}
