import { controlMasterCarrier, masterAddress } from './control-master.ts';
import { localCarrier } from './local-carrier.ts';
import type { AskPerson } from './login-questions.ts';
import type { SshSettings } from './settings.ts';
import { type LimitedShell, makeRemoteShell } from './shell.ts';
import { ssh2Carrier } from './ssh2-carrier.ts';
import type { LoginState } from './transport.ts';

/** A system's shell, and for ssh2 the way in which a person's answers reach it (the worker serves it on the passcode socket). */
export interface OpenShell {
  readonly shell: LimitedShell;
  readonly login?: (ask: AskPerson) => Promise<LoginState>;
}

/** Makes the shell of the profile's transport. Connects to nothing yet. Throws DriverError `refused` for settings that cannot work. */
export function openShell(system: string, settings: SshSettings, env: NodeJS.ProcessEnv = process.env): OpenShell {
  switch (settings.transport) {
    case 'none':
      return { shell: makeRemoteShell(localCarrier({ env }), settings.max_channels) };
    case 'openssh':
      return { shell: makeRemoteShell(controlMasterCarrier(masterAddress(system, settings, env)), settings.max_channels) };
    case 'ssh2': {
      const carrier = ssh2Carrier(system, settings, env);
      return { shell: makeRemoteShell(carrier, settings.max_channels), login: carrier.login };
    }
  }
}
