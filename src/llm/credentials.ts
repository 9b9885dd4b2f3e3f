import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { DriverError } from '../systems/driver.ts';
import type { Environment } from '../systems/globus/environment.ts';
import { inferenceToken, loginAdvice, noteRefusedLogin } from './globus-token-file.ts';
import type { GlobusLogin } from './options.ts';

/** Where a key comes from; read for every call, so that a renewed one is used at once. */
export interface KeySource {
  /** `rejected` is a key that the service has just refused: a renewable login gives another one. Throws DriverError needs_login. */
  key(rejected?: string): Promise<string>;
  /** The service refuses also what was renewed: no key is given for a while, unless a person logs in. Absent where nothing is renewed. */
  refused?(): Promise<void>;
  /** A refused key may be renewed. */
  readonly isRenewable: boolean;
  /** What a person does when the service refuses the key for good. */
  readonly advice: string;
}

const CHECK_KEY = 'Check llm.api_key.';

/**
 * @param reference `env:NAME`, `globus`, a file name, or nothing for services that ask for no key. The key itself is never part of a campaign.
 */
export function keySource(reference: string | undefined, globus: GlobusLogin | undefined, env: Environment): KeySource {
  if (reference === undefined) return { isRenewable: false, advice: CHECK_KEY, key: async () => 'none' };
  if (reference === 'globus') {
    if (globus === undefined)
      return {
        isRenewable: false,
        advice: CHECK_KEY,
        key: () => needsLogin('llm.api_key is globus, but no service names its Globus client. Use llm.service.'),
      };
    return {
      isRenewable: true,
      advice: loginAdvice(globus),
      key: (rejected) => inferenceToken(globus, env, rejected),
      refused: () => noteRefusedLogin(globus, env),
    };
  }
  if (reference.startsWith('env:')) {
    const name = reference.slice(4);
    return {
      isRenewable: false,
      advice: CHECK_KEY,
      key: async () =>
        env[name]?.trim() ||
        needsLogin(`The environment variable ${name} (llm.api_key) is not set where the worker runs. Set it and start the worker again.`),
    };
  }
  return { isRenewable: false, advice: CHECK_KEY, key: () => keyFromFile(reference, env) };
}

async function keyFromFile(reference: string, env: Environment): Promise<string> {
  const file = reference.replace(/^~(?=\/)/, env.HOME ?? homedir());
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0)
      return needsLogin(`The key file ${reference} (llm.api_key) can be read by others. Run \`chmod 600 ${reference}\`.`);
    const key = (await readFile(path.resolve(file), 'utf8')).trim();
    return key || needsLogin(`The key file ${reference} (llm.api_key) is empty.`);
  } catch (error) {
    if (error instanceof DriverError) throw error;
    return needsLogin(`The key file ${reference} (llm.api_key) cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}.`);
  }
}

async function needsLogin(message: string): Promise<never> {
  throw new DriverError('needs_login', 'HF-LLM-LOGIN', message);
}
