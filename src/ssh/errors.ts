import { DriverError } from '../systems/driver.ts';

/** Every way in which SSH fails, and who mends it: time (`transport`), a person (`needs_login`), a change of what was asked for (`refused`). */
export const SSH_ERROR_CLASSES = {
  'HF-SSH-UNREACHABLE': 'transport',
  'HF-SSH-STALLED': 'transport',
  'HF-SSH-CUT': 'transport',
  'HF-SSH-BUSY': 'transport',
  'HF-SSH-NO-SHELL': 'transport',
  'HF-SSH-REMOTE-TMP': 'transport',
  'HF-SSH-TRANSFER': 'transport',
  'HF-SSH-CORRUPT': 'transport',
  'HF-SSH-ABORTED': 'transport',
  'HF-SSH-NEEDS-LOGIN': 'needs_login',
  'HF-SSH-LOGIN-REFUSED': 'needs_login',
  'HF-SSH-HOST-KEY-UNKNOWN': 'needs_login',
  'HF-SSH-HOST-KEY-CHANGED': 'needs_login',
  'HF-SSH-HOST-KEY-REVOKED': 'needs_login',
  'HF-SSH-CONFIG': 'refused',
  'HF-SSH-REMOTE-FILE': 'refused',
  'HF-SSH-TOO-LARGE': 'refused',
} as const satisfies Record<string, DriverError['class']>;

export type SshErrorCode = keyof typeof SSH_ERROR_CLASSES;

/** A DriverError whose class stands in the table above. */
export function sshError(code: SshErrorCode, message: string, cause?: unknown): DriverError {
  return new DriverError(SSH_ERROR_CLASSES[code], code, message, cause === undefined ? undefined : { cause });
}

/** The server has no free channel on this connection (MaxSessions): wait for one of ours to end; never a reason for another login. */
export class ChannelRefused extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ChannelRefused';
  }
}
