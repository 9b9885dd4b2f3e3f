import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { type WorkflowClient, WorkflowNotFoundError } from '@temporalio/client';
import { type CampaignStatus, loginDoneSignal, resumeSignal, statusQuery } from '../../workflows/messages.ts';
import { systemWorkflowId } from '../domain/ids.ts';
import {
  controlMasterCarrier,
  endMaster,
  isMasterAlive,
  masterAddress,
  masterRecordFile,
  openMasterWords,
  readRecord,
} from '../ssh/control-master.ts';
import { sshError } from '../ssh/errors.ts';
import type { AskPerson } from '../ssh/login-questions.ts';
import { loginThroughWorker, workerLoginState } from '../ssh/passcode-socket.ts';
import type { SshSettings } from '../ssh/settings.ts';
import { makeRemoteShell } from '../ssh/shell.ts';
import type { LoginState } from '../ssh/transport.ts';

export interface LoginOptions {
  /** Only say how it stands. Never logs in. */
  readonly check?: boolean;
  /** End the connection. openssh only. */
  readonly logout?: boolean;
  /** Full name of a login node, instead of the one that the site's balancer picks. openssh only. */
  readonly node?: string;
}

export interface LoginIo {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly env?: NodeJS.ProcessEnv;
  /** Tells the waiting system that a person has logged in: the signal `loginDone` to `system/<name>`. */
  readonly wake: (system: string) => Promise<void>;
}

/**
 * `holdfast login <system>`: one login, by a person, in this terminal. With transport openssh it opens the ControlMaster that the worker
 * uses; with ssh2 it hands what is typed to the worker that holds the connection. Wakes the system afterwards. Throws DriverError when the
 * login failed; with `check`, the state is the answer and nothing is thrown for it.
 */
export async function login(system: string, settings: SshSettings, options: LoginOptions, io: LoginIo): Promise<LoginState> {
  const env = io.env ?? process.env;
  const state = await way(settings.transport)(system, settings, options, io, env);
  io.output.write(`${describeLogin(system, state)}\n`);
  if (state.kind === 'ready' && !options.check && !options.logout) await io.wake(system);
  return state;
}

/** A moment that is as old as the answer says nothing: nobody was there to see since when. */
const JUST_NOW_MS = 5_000;

/** One line for people. */
export function describeLogin(system: string, state: LoginState, now = Date.now()): string {
  const since = now - Date.parse(state.since) < JUST_NOW_MS ? '' : ` since ${state.since}`;
  switch (state.kind) {
    case 'ready':
      return `${system} is logged in${state.node === undefined ? '' : ` on ${state.node}`}${since}.`;
    case 'needs_login':
      return `${system} needs a login${since}: ${state.why}`;
    case 'unreachable':
      return `${system} cannot be reached${since}: ${state.why}`;
  }
}

type Way = (system: string, settings: SshSettings, options: LoginOptions, io: LoginIo, env: NodeJS.ProcessEnv) => Promise<LoginState>;

function way(transport: SshSettings['transport']): Way {
  return { openssh: loginByMaster, ssh2: loginByWorker, none: noLogin }[transport];
}

async function noLogin(): Promise<LoginState> {
  return { kind: 'ready', since: new Date().toISOString() };
}

async function loginByWorker(
  system: string,
  _settings: SshSettings,
  options: LoginOptions,
  io: LoginIo,
  env: NodeJS.ProcessEnv,
): Promise<LoginState> {
  if (options.logout || options.node !== undefined)
    throw sshError(
      'HF-SSH-CONFIG',
      `--logout and --node are for transport: openssh; the worker holds the connection to ${system}. Stop the worker to end it.`,
    );
  if (!options.check) return loginThroughWorker(system, askInTerminal(io, system), env);
  const state = await workerLoginState(system, env);
  return (
    state ?? {
      kind: 'unreachable',
      since: new Date().toISOString(),
      why: `No worker on this computer holds the connection. Start one with: holdfast worker --systems ${system}`,
      retrySeconds: 0,
    }
  );
}

async function loginByMaster(
  system: string,
  settings: SshSettings,
  options: LoginOptions,
  io: LoginIo,
  env: NodeJS.ProcessEnv,
): Promise<LoginState> {
  const address = masterAddress(system, settings, env);
  const carrier = controlMasterCarrier(address);
  if (options.check) return carrier.check();
  if (options.logout) {
    await endMaster(address);
    return carrier.check();
  }
  if (await isMasterAlive(address)) {
    if (options.node !== undefined)
      throw sshError(
        'HF-SSH-CONFIG',
        `${system} is already logged in; one connection is never spread over two nodes. First: holdfast login ${system} --logout`,
      );
    return carrier.check();
  }
  const last = await readRecord(address);
  // A socket without a master keeps ssh from opening a new one.
  if (existsSync(address.socket)) await rm(address.socket, { force: true });
  io.output.write(`${askedBySsh(system, settings.host)} What you type goes to ssh and nowhere else.\n`);
  const code = await inTerminal('ssh', openMasterWords(address, options.node), env);
  if (code !== 0)
    throw sshError(
      'HF-SSH-LOGIN-REFUSED',
      `ssh could not log in to ${options.node ?? settings.host} (exit status ${code}). Nothing is tried again by itself. ${last && options.node === undefined ? `Another login node: holdfast login ${system} --node <full name>.` : 'Wait for a new passcode before the next attempt.'}`,
    );
  const node = await nodeName(carrier);
  const record = { ...(node === undefined ? {} : { node }), since: new Date().toISOString() };
  await writeFile(masterRecordFile(address), `${JSON.stringify(record)}\n`, { mode: 0o600 });
  if (node !== undefined) {
    if (last?.node !== undefined && last.node !== node)
      io.output.write(`This is ${node}; the last login was on ${last.node}. Files that only one login node sees (/tmp) differ.\n`);
  }
  return carrier.check();
}

/** The login node's full name, over the new connection. */
async function nodeName(carrier: ReturnType<typeof controlMasterCarrier>): Promise<string | undefined> {
  const answer = await makeRemoteShell(carrier).run({ script: 'hostname -f 2>/dev/null || hostname', timeoutSeconds: 30 });
  const name = answer.kind === 'exited' ? answer.stdout.toString('utf8').trim() : '';
  return /^[\w.-]+$/.test(name) ? name : undefined;
}

function inTerminal(program: string, words: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { env, stdio: 'inherit' });
    child.once('error', (cause) =>
      reject(sshError('HF-SSH-CONFIG', `${program} cannot be started (${cause.message}). Install OpenSSH's client.`, cause)),
    );
    child.once('exit', (code) => resolve(code ?? 255));
  });
}

/** Which of a person's codes is meant: the systems' own and those of Globus are typed into the same terminal. */
function askedBySsh(system: string, host: string): string {
  return `Logging in to ${system} by SSH (${host}): what is asked for is this system's own passcode or password, no code of Globus.`;
}

/** Shows what the server of `system` asks and reads the answers; passcodes are not echoed. */
export function askInTerminal(io: Pick<LoginIo, 'input' | 'output'>, system: string): AskPerson {
  let isIntroduced = false;
  const isTerminal = (io.input as { isTTY?: boolean }).isTTY === true;
  // Piped input may bring several lines at once, so one reader serves all prompts.
  let piped: AsyncIterator<string> | undefined;
  const readPiped = async () => {
    piped ??= createInterface({ input: io.input })[Symbol.asyncIterator]();
    const next = await piped.next();
    if (next.done === true) throw new Error('no answer was typed');
    return next.value;
  };
  return async ({ who, instructions, prompts }) => {
    if (!isIntroduced) io.output.write(`${askedBySsh(system, who)}\n`);
    isIntroduced = true;
    if (instructions) io.output.write(`${printable(instructions)}\n`);
    const answers: string[] = [];
    for (const prompt of prompts) {
      io.output.write(`${system} (${who}): ${printable(prompt.text)}`);
      answers.push(isTerminal ? await readTyped(io, prompt.isEchoed) : await readPiped());
      if (!prompt.isEchoed) io.output.write('\n');
    }
    return answers;
  };
}

async function readTyped(io: Pick<LoginIo, 'input' | 'output'>, isEchoed: boolean): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: io.input, output: isEchoed ? io.output : silent, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      reader.once('line', resolve);
      reader.once('close', () => reject(new Error('no answer was typed')));
      reader.once('SIGINT', () => reject(new Error('interrupted')));
    });
  } finally {
    reader.close();
  }
}

/** Server text without control characters: it must not steer the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
}

/**
 * The default of `wake`: tells the system's workflow, and campaigns that wait for the login before they have one (their launch folder is not
 * made yet). What cannot be told now finds out by itself within ten minutes.
 */
export async function wakeSystem(client: WorkflowClient, system: string): Promise<void> {
  try {
    await client.getHandle(systemWorkflowId(system)).signal(loginDoneSignal);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
  for await (const { workflowId } of client.list({ query: 'WorkflowType = "hpoCampaign" AND ExecutionStatus = "Running"' })) {
    const campaign = client.getHandle(workflowId);
    // A query needs a worker, and the campaign may end meanwhile.
    const status = await campaign.query(statusQuery).catch(() => undefined);
    if (status?.system !== system || !WAITS_BY_ITSELF.has(status.phase)) continue;
    await campaign.signal(resumeSignal).catch(() => undefined);
  }
}

/** Phases in which a campaign waits for a login without its system's workflow; `resume` does nothing else in them. */
const WAITS_BY_ITSELF: ReadonlySet<CampaignStatus['phase']> = new Set(['preparing', 'reporting']);
