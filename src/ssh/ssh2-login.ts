import { existsSync, readFileSync } from 'node:fs';
import ssh2, { type AgentAuthMethod, type AnyAuthMethod, type AuthHandlerMiddleware, type ParsedKey } from 'ssh2';
import type { ResolvedHost } from './config-file.ts';
import type { AskPerson } from './login-questions.ts';

/** What a login tried, for the message when it failed. */
export interface LoginAttempts {
  readonly handler: AuthHandlerMiddleware;
  /** `key ~/.ssh/id_ed25519`, `agent`, `passcode`. */
  readonly tried: string[];
  /** Keys that could not be used and why. */
  readonly skipped: string[];
  /** Set when the server wanted a person and there was none. */
  readonly wantsPerson: () => boolean;
}

/**
 * The order of a login's attempts. With keys: the agent's, then key files, each once, and nothing that a person would have to type.
 * With a person: one keyboard-interactive or password attempt, keys only where the server wants one first. An answer is never used twice.
 * @param fail ends the login when the person gave up
 */
export function loginAttempts(host: ResolvedHost, ask: AskPerson | undefined, fail: (error: Error) => void): LoginAttempts {
  const tried: string[] = [];
  const skipped: string[] = [];
  const keys = keyAttempts(host, skipped);
  const username = host.user;
  const who = `${host.user}@${host.name}`;
  let hasAskedNone = false;
  let personTurns = 1;
  let wantsPerson = false;

  const handler: AuthHandlerMiddleware = (left: readonly string[] | null, isPartial: boolean | null, next) => {
    if (isPartial === true && tried.at(-1) === 'passcode') personTurns = 1;
    const allows = (method: string) => left?.includes(method) === true;
    const tryKey = (): boolean => {
      const key = keys.shift();
      if (!key) return false;
      tried.push(key.name);
      next(key.method);
      return true;
    };
    if (!ask) {
      if (left !== null && isPartial === true && !allows('publickey')) wantsPerson = true;
      if ((left === null || allows('publickey')) && tryKey()) return;
      if (tried.length === 0 && left === null) return next({ type: 'none', username });
      if (left !== null && !allows('publickey')) wantsPerson = true;
      return noMore(next);
    }
    if (!hasAskedNone) {
      hasAskedNone = true;
      return next({ type: 'none', username });
    }
    if (allows('keyboard-interactive') && personTurns > 0) {
      personTurns--;
      tried.push('passcode');
      return next({
        type: 'keyboard-interactive',
        username,
        prompt: (_name, instructions, _language, prompts, finish) => {
          ask({ who, instructions, prompts: prompts.map((prompt) => ({ text: prompt.prompt, isEchoed: prompt.echo === true })) }).then(
            (answers) => finish([...answers]),
            (error: Error) => fail(error),
          );
        },
      });
    }
    if (allows('password') && personTurns > 0) {
      personTurns--;
      tried.push('passcode');
      ask({ who, instructions: '', prompts: [{ text: `Password for ${who}: `, isEchoed: false }] }).then(
        ([password = '']) => next({ type: 'password', username, password }),
        (error: Error) => fail(error),
      );
      return;
    }
    if (allows('publickey') && tryKey()) return;
    noMore(next);
  };
  return { handler, tried, skipped, wantsPerson: () => wantsPerson };
}

/** ssh2 takes `false` for "no more methods"; its types know method names only. */
function noMore(next: Parameters<AuthHandlerMiddleware>[2]): void {
  (next as unknown as (method: false) => void)(false);
}

/** What a login with keys would try, for doctor. */
export function usableKeys(host: ResolvedHost): { readonly usable: readonly string[]; readonly skipped: readonly string[] } {
  const skipped: string[] = [];
  return { usable: keyAttempts(host, skipped).map(({ name }) => name), skipped };
}

function keyAttempts(host: ResolvedHost, skipped: string[]): { name: string; method: AnyAuthMethod }[] {
  const attempts: { name: string; method: AnyAuthMethod }[] = [];
  const wanted: Buffer[] = [];
  const files: { name: string; method: AnyAuthMethod }[] = [];
  for (const file of host.identityFiles) {
    const publicKey = readKey(`${file}.pub`);
    if (publicKey && !(publicKey instanceof Error)) wanted.push(publicKey.getPublicSSH());
    const key = readKey(file);
    if (key === undefined) continue;
    if (key instanceof Error)
      skipped.push(`${file} (${/passphrase|encrypted/i.test(key.message) ? 'has a passphrase: add it to your agent' : key.message})`);
    else if (key.isPrivateKey()) files.push({ name: `key ${file}`, method: { type: 'publickey', username: host.user, key } });
    else wanted.push(key.getPublicSSH());
  }
  if (host.agent !== undefined && existsSync(host.agent)) {
    const agent = new ssh2.OpenSSHAgent(host.agent);
    if (host.identitiesOnly) {
      const all = agent.getIdentities.bind(agent);
      agent.getIdentities = (callback) =>
        all((error, keys) => callback(error, keys?.filter((key) => wanted.some((one) => one.equals(publicBytes(key)))) ?? []));
    }
    attempts.push({ name: 'agent', method: { type: 'agent', username: host.user, agent } satisfies AgentAuthMethod });
  }
  return [...attempts, ...files];
}

function publicBytes(key: unknown): Buffer {
  const parsed = Buffer.isBuffer(key) || typeof key === 'string' ? ssh2.utils.parseKey(key) : key;
  return hasPublicKey(parsed) ? parsed.getPublicSSH() : Buffer.alloc(0);
}

function hasPublicKey(key: unknown): key is ParsedKey {
  return typeof key === 'object' && key !== null && 'getPublicSSH' in key;
}

function readKey(file: string): ParsedKey | Error | undefined {
  let text: Buffer;
  try {
    text = readFileSync(file);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : (error as Error);
  }
  const parsed: ParsedKey | ParsedKey[] | Error = ssh2.utils.parseKey(text);
  return Array.isArray(parsed) ? parsed[0] : parsed;
}
