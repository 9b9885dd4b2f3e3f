/** Exit statuses and messages of qsub, qstat, qdel, qselect and pbsnodes: the PBS error number modulo 256, with exceptions. One row per case. */

export type PbsCommand = 'qsub' | 'qstat' | 'qdel' | 'qselect' | 'pbsnodes';

/**
 * What a caller does next:
 * - `ok`: read the answer.
 * - `wait`: nothing happened; ask again later, nobody is charged (server down, limits, maintenance).
 * - `refuse`: nothing happened and repeating it changes nothing; a person must act.
 * - `unknown`: it may have happened: look by name before anything is sent again.
 * - `gone` / `finished`: what PBS says of the job in question. `gone` is never an end by itself.
 * - `race`: the job was changing its state: read it again.
 */
export type PbsAction = 'ok' | 'wait' | 'refuse' | 'unknown' | 'gone' | 'finished' | 'race';

export interface PbsVerdict {
  readonly action: PbsAction;
  /** Stable name of the row, e.g. `HF-PBS-LIMIT`. */
  readonly code: string;
  /** PBS's or the site hook's own words, one line. */
  readonly message: string;
  readonly advice: string;
}

interface Row {
  /** Absent: any but 0. */
  readonly exits?: readonly number[];
  readonly commands?: readonly PbsCommand[];
  /** Must match stderr too. */
  readonly text?: RegExp;
  readonly action: PbsAction;
  readonly code: string;
  readonly advice: string;
}

const SERVER_WORDS =
  /Connection (refused|timed out|reset)|cannot connect to server|Couldn't connect to cluster|No server|no free connections|errno=150(10|07)/i;
const ALL_COMMANDS_DOWN = 'The PBS server does not answer. Nothing is lost: it is asked again later.';

/** First row that matches counts. Sources: goldens/pbs (the named cases), alcf.md §5 for 160, 171, 183, 185, 186, 191, 198. */
export const EXIT_TABLE: readonly Row[] = [
  {
    exits: [0],
    text: /not configured to maintain job history/i,
    action: 'wait',
    code: 'HF-PBS-NO-HISTORY',
    advice: 'The server keeps no job history (job_history_enable): an empty answer proves nothing.',
  },
  { exits: [0], text: SERVER_WORDS, action: 'wait', code: 'HF-PBS-DOWN', advice: ALL_COMMANDS_DOWN },
  { exits: [0], action: 'ok', code: 'HF-PBS-OK', advice: '' },
  {
    text: /reserved ports in use|Invalid credential/i,
    action: 'wait',
    code: 'HF-PBS-BUSY',
    advice: 'The login node or the server is overloaded (credentials, reserved ports).',
  },
  {
    exits: [124, 129, 130, 137, 143],
    commands: ['qsub'],
    action: 'unknown',
    code: 'HF-PBS-HUNG',
    advice: 'qsub was cut off: the job is looked up by its name before anything is sent again.',
  },
  { exits: [124, 129, 130, 137, 143], action: 'wait', code: 'HF-PBS-HUNG', advice: ALL_COMMANDS_DOWN },
  {
    exits: [183],
    commands: ['qsub'],
    action: 'unknown',
    code: 'HF-PBS-CUT',
    advice: 'The server’s answer was cut: the job is looked up by its name before anything is sent again.',
  },
  {
    exits: [127, 126],
    action: 'refuse',
    code: 'HF-PBS-NOT-FOUND',
    advice: 'The PBS commands are not in the PATH of a non-interactive ssh. Put their folder into PATH in ~/.bashrc there.',
  },
  {
    exits: [160],
    action: 'refuse',
    code: 'HF-PBS-HOST',
    advice: 'The name of the PBS server cannot be resolved. Check PBS_SERVER and /etc/pbs.conf on the login node.',
  },
  {
    exits: [255],
    commands: ['qstat'],
    text: /Unknown Host/i,
    action: 'refuse',
    code: 'HF-PBS-HOST',
    advice: 'The name of the PBS server cannot be resolved. Check PBS_SERVER and /etc/pbs.conf on the login node.',
  },
  { exits: [162, 185, 186], action: 'wait', code: 'HF-PBS-DOWN', advice: ALL_COMMANDS_DOWN },
  { exits: [255], commands: ['qstat'], text: SERVER_WORDS, action: 'wait', code: 'HF-PBS-DOWN', advice: ALL_COMMANDS_DOWN },
  { exits: [1], commands: ['pbsnodes'], text: SERVER_WORDS, action: 'wait', code: 'HF-PBS-DOWN', advice: ALL_COMMANDS_DOWN },
  {
    exits: [171],
    action: 'wait',
    code: 'HF-PBS-BUSY',
    advice: 'The login node or the server is overloaded (credentials, reserved ports).',
  },
  {
    exits: [38, 39, 198],
    commands: ['qsub'],
    action: 'wait',
    code: 'HF-PBS-LIMIT',
    advice: 'The site’s limit of jobs is reached; the pilot is submitted when one of them has ended.',
  },
  {
    exits: [173],
    commands: ['qsub'],
    action: 'wait',
    code: 'HF-PBS-QUEUE-CLOSED',
    advice: 'The queue takes no jobs now (maintenance?). It is tried again later.',
  },
  {
    exits: [170],
    commands: ['qsub'],
    action: 'refuse',
    code: 'HF-PBS-QUEUE-UNKNOWN',
    advice: 'Choose a queue of `holdfast systems show <system>`.',
  },
  {
    exits: [174],
    commands: ['qsub'],
    action: 'refuse',
    code: 'HF-PBS-QUEUE-DENIED',
    advice: 'You may not submit to this queue (routing only, or not for this project).',
  },
  {
    exits: [188, 191],
    commands: ['qsub'],
    action: 'refuse',
    code: 'HF-PBS-QUEUE-LIMIT',
    advice: 'Nodes or walltime are outside the queue’s limits: see `holdfast systems show <system>`.',
  },
  {
    exits: [187, 166],
    commands: ['qsub'],
    action: 'refuse',
    code: 'HF-PBS-REQUEST',
    advice: 'The request names a resource or a value that the site does not know. See `holdfast render-job`.',
  },
  {
    exits: [32],
    commands: ['qsub'],
    text: /No active allocation/i,
    action: 'refuse',
    code: 'HF-PBS-ALLOCATION',
    advice: 'The project has no allocation (any more). Renew it or set another account, then resume.',
  },
  {
    exits: [32],
    commands: ['qsub'],
    action: 'refuse',
    code: 'HF-PBS-HOOK',
    advice: 'A rule of the site refused the job; the message is the site’s own.',
  },
  { exits: [197], commands: ['qsub'], action: 'refuse', code: 'HF-PBS-GROUP', advice: 'Check group_list in the system’s settings.' },
  { exits: [159], action: 'refuse', code: 'HF-PBS-DENIED', advice: 'The job belongs to another user.' },
  {
    exits: [1, 2, 3],
    commands: ['qsub', 'qdel', 'qselect'],
    action: 'refuse',
    code: 'HF-PBS-USAGE',
    advice: 'PBS does not take the command as it is. See `holdfast render-job`.',
  },
  { exits: [153], action: 'gone', code: 'HF-PBS-GONE', advice: 'PBS does not know the job (any more). This alone is no end.' },
  { exits: [35], action: 'finished', code: 'HF-PBS-FINISHED', advice: 'The job has ended; its history says how.' },
  { exits: [168], action: 'race', code: 'HF-PBS-RACE', advice: 'The job was changing its state; it is read again.' },
];

/**
 * What an exit status and stderr mean. A status without a row is `unknown` for qsub (the job may exist) and `wait` for everything else, with
 * the words kept. Usage lines and carriage returns are left out of the message.
 *
 * @example judgeExit('qstat', 255, 'Connection refused\nqstat: cannot connect …') // { action: 'wait', code: 'HF-PBS-DOWN', … }
 */
export function judgeExit(command: PbsCommand, exit: number, stderr: string): PbsVerdict {
  const message = ownWords(stderr);
  const row = EXIT_TABLE.find(
    (each) => (each.exits?.includes(exit) ?? exit !== 0) && (each.commands?.includes(command) ?? true) && (each.text?.test(stderr) ?? true),
  );
  if (row) return { action: row.action, code: row.code, message: message || `${command} exit ${exit}`, advice: row.advice };
  return {
    action: command === 'qsub' ? 'unknown' : 'wait',
    code: 'HF-PBS-UNLISTED',
    message: message || `${command} exit ${exit}`,
    advice: `${command} ended with status ${exit}, which has no row in our table. The job is looked up by its name before anything is sent again.`,
  };
}

/** The lines that say why, without usage texts; at most 500 characters. */
function ownWords(stderr: string): string {
  const lines = stderr.replaceAll('\r', '').split('\n');
  const usage = lines.findIndex((line) => /^usage:/i.test(line));
  const said = (usage > 0 ? lines.slice(0, usage) : lines).map((line) => line.trim()).filter((line) => line !== '');
  return said.join('; ').slice(0, 500);
}
