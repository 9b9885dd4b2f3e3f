/** What the attributes of a job say: the table of ../../../docs/guides/aurora.md, "How a job ended", as data. Measured on OpenPBS 23.06.06. */

export type JobEndKind = 'normal' | 'walltime' | 'killed' | 'never_ran' | 'failed';

export interface JobEnd {
  readonly kind: JobEndKind;
  /** One sentence with PBS's own words. */
  readonly message: string;
  readonly exitStatus: number | null;
}

export type JobJudgement =
  | { readonly state: 'queued' | 'running'; readonly comment?: string; readonly trouble?: JobTrouble }
  | { readonly state: 'ended'; readonly end: JobEnd; readonly comment?: string }
  /** The attributes contradict each other or a letter is new: nothing is concluded from this answer. `presumed`: what it says all the same where it says F. */
  | { readonly state: 'unclear'; readonly why: string; readonly presumed?: JobEnd };

/** A job that will not start by itself. `wait`: the site must act (a file system is down). `give_up`: delete it, it never becomes F. */
export interface JobTrouble {
  readonly action: 'wait' | 'give_up';
  readonly message: string;
}

/** job_state → what it means; F is judged by END_TABLE. M (moved to another server) and X (old name of a finished subjob) were not met. */
const STATES: Readonly<Record<string, 'queued' | 'running' | 'ended'>> = {
  Q: 'queued',
  H: 'queued',
  W: 'queued',
  T: 'queued',
  M: 'queued',
  R: 'running',
  E: 'running',
  S: 'running',
  U: 'running',
  B: 'running',
  F: 'ended',
};

interface EndRow {
  readonly matches: (seen: Seen) => boolean;
  readonly kind: JobEndKind;
  readonly says: string;
}

interface Seen {
  readonly exit: number | null;
  readonly substate: number;
}

/** First row that matches. Exit statuses below 0: PBS's own (src/include/job.h); 256 + n: deleted by signal n; 91: deleted. */
const END_TABLE: readonly EndRow[] = [
  { matches: ({ exit }) => exit === null, kind: 'never_ran', says: 'The job never ran' },
  { matches: ({ exit }) => exit === -29, kind: 'walltime', says: 'The job reached its walltime' },
  { matches: ({ exit }) => exit === -27 || exit === -26, kind: 'failed', says: 'The job used more memory than it asked for' },
  { matches: ({ exit }) => exit === -28, kind: 'failed', says: 'The job used more CPU time than it asked for' },
  { matches: ({ exit }) => exit === -24 || exit === -25, kind: 'failed', says: 'The job used more CPUs than it asked for' },
  { matches: ({ exit }) => exit === -1 || exit === -2 || exit === -3, kind: 'failed', says: 'The job could not be started on its node' },
  { matches: ({ exit }) => exit === -10, kind: 'failed', says: 'The node does not know the user' },
  {
    matches: ({ exit }) => exit === -16 || exit === -17 || exit === -18 || exit === -19,
    kind: 'failed',
    says: 'A hook of the site refused the job on its node',
  },
  { matches: ({ exit }) => exit !== null && exit < 0, kind: 'killed', says: 'PBS ended the job' },
  { matches: ({ exit }) => exit !== null && exit >= 256, kind: 'killed', says: 'The job was deleted while it ran' },
  { matches: ({ substate }) => substate === 91, kind: 'killed', says: 'The job was deleted while it ran' },
  { matches: ({ exit }) => exit === 0, kind: 'normal', says: 'The job ended' },
  { matches: ({ exit }) => exit !== null && exit > 128, kind: 'failed', says: 'The job script was killed by a signal' },
  { matches: () => true, kind: 'failed', says: 'The job script failed' },
];

/** Comments of a job that waits and will not start by itself (alcf.md §5, goldens state-H-too-many-failures, state-Q-never-runs). */
const TROUBLES: readonly {
  readonly states: string;
  readonly comment: RegExp;
  readonly action: JobTrouble['action'];
  readonly says: string;
}[] = [
  { states: 'H', comment: /too many failed attempts/i, action: 'give_up', says: 'PBS gave up starting the job' },
  {
    states: 'Q',
    comment: /Can Never Run: .*server resource: \w*_?(fs|filesystem)\w*/i,
    action: 'wait',
    says: 'A file system of the site is down',
  },
  { states: 'Q', comment: /Can Never Run/i, action: 'give_up', says: 'The job asks for more than the site has' },
];

/** Substates of F: 91 terminated, 92 finished, 93 failed. */
const FINAL_SUBSTATES = [91, 92, 93];

/**
 * State of one job from its attributes. Only F ends a job, and only with the marks that every real F had: a final substate and a
 * history_timestamp; with an Exit_status also stime and obittime, without one neither of the two (goldens state-F-*). An Exit_status alone ends
 * nothing: a requeued job is Q with −11. Never throws.
 *
 * @example judgeJob(new Map([['job_state', 'Q'], ['substate', '10'], ['Exit_status', '-11']])) // { state: 'queued' }: it will run again
 */
export function judgeJob(attributes: ReadonlyMap<string, string>): JobJudgement {
  const letter = attributes.get('job_state') ?? '';
  const state = STATES[letter];
  const comment = attributes.get('comment');
  const said = comment === undefined ? {} : { comment };
  const exit = attributes.get('Exit_status');
  const substate = Number(attributes.get('substate') ?? Number.NaN);
  if (state === undefined) return { state: 'unclear', why: letter === '' ? 'no job_state' : `unknown job_state ${letter.slice(0, 20)}` };
  if (state !== 'ended') {
    if (FINAL_SUBSTATES.includes(substate))
      return { state: 'unclear', why: `job_state ${letter} with the substate of an end (${substate})` };
    const trouble = TROUBLES.find((row) => row.states.includes(letter) && row.comment.test(comment ?? ''));
    return trouble ? { state, ...said, trouble: { action: trouble.action, message: `${trouble.says}: ${comment}` } } : { state, ...said };
  }
  const doubt = doubtOf(attributes, substate, exit);
  const status = exit === undefined || !EXIT_STATUS.test(exit) ? null : Number(exit);
  const row = END_TABLE.find((each) => each.matches({ exit: status, substate })) as EndRow;
  const words = [status === null ? '' : `Exit_status ${status}`, comment ?? ''].filter((part) => part !== '').join(', ');
  const end = { kind: row.kind, exitStatus: status, message: words === '' ? `${row.says}.` : `${row.says} (${words}).` };
  return doubt === undefined ? { state: 'ended', end, ...said } : { state: 'unclear', why: doubt, presumed: end };
}

const EXIT_STATUS = /^-?\d{1,9}$/;

/** Which mark of a real F an answer lacks; undefined: it has them all. */
function doubtOf(attributes: ReadonlyMap<string, string>, substate: number, exit: string | undefined): string | undefined {
  if (!FINAL_SUBSTATES.includes(substate)) return `F with substate ${attributes.get('substate') ?? 'absent'}`;
  if (!/^\d{9,}$/.test(attributes.get('history_timestamp') ?? '')) return 'F without history_timestamp';
  const hasRun = attributes.has('stime') || attributes.has('obittime') || attributes.has('exec_host') || attributes.has('run_count');
  if (exit === undefined) return hasRun ? 'F of a job that was started, without Exit_status' : undefined;
  if (!EXIT_STATUS.test(exit)) return `Exit_status ${exit.slice(0, 20)}`;
  return attributes.has('stime') && attributes.has('obittime') ? undefined : 'Exit_status of a job that was not started';
}
