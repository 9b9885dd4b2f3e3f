import { openShell } from './open-shell.ts';
import { type PasscodeServer, servePasscodes } from './passcode-socket.ts';
import type { SshSettings } from './settings.ts';
import type { LimitedShell } from './shell.ts';

export interface HeldShell {
  readonly shell: LimitedShell;
  /** Ends the passcode socket and the worker's own connection. */
  release(): Promise<void>;
}

/**
 * What a worker does with a system: opens its shell, and where the connection is the worker's own (ssh2) serves the socket through which
 * `holdfast login` reaches it. Throws DriverError `refused` when another worker of this computer holds the system.
 */
export async function holdShell(system: string, settings: SshSettings, env: NodeJS.ProcessEnv = process.env): Promise<HeldShell> {
  const { shell, login } = openShell(system, settings, env);
  const socket: PasscodeServer | undefined = login && (await servePasscodes(system, { login, state: shell.state }, env));
  return {
    shell,
    async release() {
      await socket?.close();
      await shell.close();
    },
  };
}
