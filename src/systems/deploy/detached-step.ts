import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../../package-root.ts';
import { sshError } from '../../ssh/errors.ts';
import type { RemoteCommand, RemoteShell } from '../../ssh/transport.ts';
import { DriverError } from '../driver.ts';

/** One thing to do on the login node that may take longer than a connection lives. Its script must stand being run again. */
export interface DetachedStep {
  readonly name: string;
  readonly script: string;
  readonly args: readonly string[];
  /** Under `bash -l`, for sites whose modules need it. */
  readonly needsLoginShell: boolean;
  readonly limitSeconds: number;
}

export interface StepEnd {
  readonly code: number;
  /** `key=value` lines that the script wrote to $HF_RESULT; a key may come more than once. */
  readonly result: ReadonlyMap<string, readonly string[]>;
  /** Everything it wrote there. */
  readonly resultText: string;
  /** Last lines of its log. */
  readonly log: string;
}

export interface StepIo {
  readonly shell: RemoteShell;
  /** Folder on the system for locks, logs and results of steps. */
  readonly folder: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  readonly pollSeconds: number;
}

/** A script of remote/deploy. */
export function deployScript(name: string): Promise<string> {
  return readFile(join(packageRoot(), 'remote', 'deploy', `${name}.sh`), 'utf8');
}

/**
 * Starts a step, or joins the run of it that is under way, and asks until it has ended. Cuts are waited out. Throws DriverError: `needs_login`
 * and `transport` leave the step running (the next call joins it), `refused` when it died or took longer than `limitSeconds`.
 */
export async function runDetached(step: DetachedStep, io: StepIo): Promise<StepEnd> {
  const folder = `${io.folder}/${step.name}`;
  const started = performance.now();
  const isLate = () => performance.now() - started > step.limitSeconds * 1000;
  const kind = step.needsLoginShell ? 'login' : 'plain';
  const start: RemoteCommand = { script: await deployScript('start'), args: [folder, kind, ...step.args], input: step.script };
  const answer = await patiently(io, isLate, start);
  const [, verb = '', run = ''] = /^(started|joined) (\d+)$/m.exec(answer) ?? [];
  if (run === '')
    throw sshError(
      'HF-SSH-REMOTE-FILE',
      `${folder} cannot be used for step ${step.name} (${answer.trim() || 'no answer'}). Check base and your rights on the system.`,
    );
  io.say(verb === 'joined' ? `${step.name}: goes on (it was started before)` : `${step.name}: started`);
  const poll: RemoteCommand = { script: await deployScript('poll'), args: [folder, run] };
  for (let seconds = Math.min(1, io.pollSeconds); ; seconds = io.pollSeconds) {
    await sleep(seconds * 1000, undefined, { signal: io.signal }).catch(() => undefined);
    if (io.signal.aborted)
      throw sshError('HF-SSH-ABORTED', `Step ${step.name} was left; it goes on there. holdfast deploy joins it again.`);
    const { state, end } = readPoll(await patiently(io, isLate, poll));
    if (state === 'ended') return end;
    if (state === 'died')
      throw new DriverError(
        'refused',
        'HF-DEPLOY-DIED',
        `Step ${step.name} ended without a result: its process was killed (login node restarted, task cap?). Run holdfast deploy again.${lastWords(end.log)}`,
      );
    if (isLate())
      throw new DriverError(
        'refused',
        'HF-DEPLOY-TIME',
        `Step ${step.name} takes longer than ${step.limitSeconds} s and still runs (${folder}/run-${run}/log). Look at it, then run holdfast deploy again: it joins.`,
      );
  }
}

/** Last words of a log for a message. */
export function lastWords(log: string): string {
  const words = log.trim().split('\n').slice(-3).join(' | ').slice(-400);
  return words === '' ? '' : ` Its last words: ${words}`;
}

function readPoll(text: string): { state: 'running' | 'ended' | 'died'; end: StepEnd } {
  const firstLine = text.split('\n', 1)[0] ?? '';
  const [head = '', log = ''] = text.split(/^--log--$/m);
  const resultText = head.slice(firstLine.length + 1);
  const result = new Map<string, string[]>();
  for (const line of resultText.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0) result.set(line.slice(0, at), [...(result.get(line.slice(0, at)) ?? []), line.slice(at + 1)]);
  }
  const code = /^ended (\d+)$/.exec(firstLine)?.[1];
  const end = { code: Number(code ?? -1), result, resultText, log: log.trim() };
  if (code !== undefined) return { state: 'ended', end };
  return { state: firstLine === 'died' ? 'died' : 'running', end };
}

const LONGEST_PAUSE_SECONDS = 60;

/** Both commands may be repeated, so a lost answer is asked for again until the step's own time is over. */
async function patiently(io: StepIo, isLate: () => boolean, command: RemoteCommand): Promise<string> {
  for (let pause = 1; ; pause = Math.min(LONGEST_PAUSE_SECONDS, pause * 2)) {
    let why: DriverError;
    try {
      const answer = await io.shell.run(command, io.signal);
      if (answer.kind === 'exited') return answer.code === 0 ? answer.stdout.toString('utf8') : answer.stderr.toString('utf8');
      why = sshError('HF-SSH-CUT', answer.why);
    } catch (error) {
      if (!(error instanceof DriverError) || error.class !== 'transport') throw error;
      why = error;
    }
    if (io.signal.aborted || isLate()) throw why;
    io.say(`connection: ${why.message} Asking again in ${pause} s.`);
    await sleep(pause * 1000, undefined, { signal: io.signal }).catch(() => undefined);
  }
}
