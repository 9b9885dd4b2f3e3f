import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { masterAddress, openMasterWords } from '../../src/ssh/control-master.ts';
import { openShell } from '../../src/ssh/open-shell.ts';
import { type SshSettings, sshSettings } from '../../src/ssh/settings.ts';
import type { LimitedShell } from '../../src/ssh/shell.ts';
import type { RemoteAnswer, RemoteCommand, RemoteShell } from '../../src/ssh/transport.ts';
import type { TestSshd } from './sshd.ts';

/** Both transports with a person's login done, for tests that must hold for either. */
export const TRANSPORTS = ['ssh2', 'openssh'] as const;

export interface LoggedIn {
  readonly shell: LimitedShell;
  readonly settings: SshSettings;
  /** Ends the ControlMaster or the connection. */
  end(): Promise<void>;
}

/** Logs in to the test server. `port`: of a proxy before it. */
export async function logIn(
  sshd: TestSshd,
  transport: (typeof TRANSPORTS)[number],
  options: { port?: number; keepAliveSeconds?: number; system?: string } = {},
): Promise<LoggedIn> {
  const settings = sshSettings.parse({
    host: 'testhost',
    transport,
    config_file: sshd.clientConfig,
    keep_alive_seconds: options.keepAliveSeconds ?? 15,
    ...(options.port === undefined ? {} : { port: options.port }),
  });
  const system = options.system ?? 'test';
  const { shell } = openShell(system, settings, sshd.env);
  if (transport === 'openssh') await openMaster(sshd, settings, system);
  await shell.check();
  return {
    shell,
    settings,
    async end() {
      await shell.close();
      if (transport === 'openssh')
        spawnSync('ssh', ['-S', masterAddress(system, settings, sshd.env).socket, '-O', 'exit', 'x'], { stdio: 'ignore' });
    },
  };
}

/** What a person's `holdfast login` does, with a key instead of a passcode. */
export async function openMaster(sshd: TestSshd, settings: SshSettings, system = 'test'): Promise<void> {
  // Not the synchronous form: a proxy in this process must go on.
  const child = spawn('ssh', openMasterWords(masterAddress(system, settings, sshd.env)), { env: sshd.env, stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`the master did not open (exit status ${code})`);
}

/** A command that runs there by the time this resolves, however slow the connection; its answer is still to come. */
export async function begunCommand(shell: RemoteShell, folder: string, command: RemoteCommand): Promise<{ answer: Promise<RemoteAnswer> }> {
  const note = join(folder, `begun-${randomUUID()}`);
  const answer = shell.run({ ...command, script: `: >'${note}'; ${command.script}` });
  answer.catch(() => undefined);
  while (!existsSync(note)) await sleep(20);
  return { answer };
}

/** The answer's text; throws on `unknown`. */
export function exited(answer: RemoteAnswer): { code: number; stdout: string; stderr: string } {
  if (answer.kind !== 'exited') throw new Error(`no answer: ${answer.why}`);
  return { code: answer.code, stdout: answer.stdout.toString('utf8'), stderr: answer.stderr.toString('utf8') };
}
