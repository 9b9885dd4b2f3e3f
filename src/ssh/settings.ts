import { z } from 'zod';

/** The `ssh:` block of a system's profile. No secrets: passwords and passcodes are typed by a person, keys stay in their files. */
export const sshSettings = z.strictObject({
  /** A name in ~/.ssh/config or a host name. */
  host: z.string().min(1),
  user: z.string().min(1).optional(),
  port: z.int().min(1).max(65_535).optional(),
  /**
   * openssh: through the ControlMaster that `holdfast login` opens in the user's terminal; never logs in by itself.
   * ssh2: one connection held by the worker. none: the worker runs on the login node itself.
   */
  transport: z.enum(['openssh', 'ssh2', 'none']).default('openssh'),
  /** keys: key files and agent, reconnects by itself. passcode: password or one-time passcode, typed into `holdfast login`; never reconnects by itself. ssh2 only. */
  auth: z.enum(['keys', 'passcode']).default('keys'),
  /** Default ~/.ssh/config. */
  config_file: z.string().optional(),
  max_channels: z.int().min(1).max(4).default(4),
  /** Seconds between signs of life; the connection counts as dead after three without an answer. */
  keep_alive_seconds: z.int().min(1).max(300).default(15),
  connect_timeout_seconds: z.int().min(1).max(300).default(20),
});

export type SshSettings = z.output<typeof sshSettings>;
