import { randomBytes } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { makeFolder } from '../make-folder.ts';
import { DriverError } from '../systems/driver.ts';
import { type Environment, globusEnvironment } from '../systems/globus/environment.ts';
import { refresh } from '../systems/globus/oauth.ts';
import { isUnwritable, type TokenRecord, tokenRecord, withLock } from '../systems/globus/token-store.ts';
import type { GlobusLogin } from './options.ts';

/** globus_sdk's JSONTokenStorage, format 2.0 (globus-sdk 4.9, globus_sdk/token_storage/json.py): {data: {DEFAULT: {<resource server>: token}}}. */
const tokenFile = z.looseObject({ data: z.record(z.string(), z.record(z.string(), z.looseObject(tokenRecord.shape))) });
type TokenFile = z.infer<typeof tokenFile>;

const NAMESPACE = 'DEFAULT';

/** Renew when less than this is left, seconds. */
const RENEW_BEFORE_SECONDS = 120;

/** `~/.globus/app/<client>/<app>/tokens.json`: the file that the service's own script writes, so that one login serves both. */
export function tokenFilePath(login: GlobusLogin, env: Environment): string {
  return path.join(env.HOME || homedir(), '.globus', 'app', login.clientId, login.app, 'tokens.json');
}

/** A login that Globus Auth or the service has refused is not tried again for so long (R12); other tokens in the file are tried at once. */
const REFUSED_MS = 30 * 60_000;

/** What this process knows of a token file: a refused login, and a token that could not be written down. */
interface Memory {
  readonly refused?: { readonly tokens: string; readonly until: number };
  readonly unsaved?: TokenRecord;
}
const memories = new Map<string, Memory>();

/** The service refuses the login also with a token that was renewed just now. */
export async function noteRefusedLogin(login: GlobusLogin, env: Environment): Promise<void> {
  const file = tokenFilePath(login, env);
  const stored = (await load(file))?.data[NAMESPACE]?.[login.resourceServer];
  if (stored !== undefined) noteRefused(file, stored);
}

function noteRefused(file: string, record: TokenRecord): void {
  memories.set(file, { ...memories.get(file), refused: { tokens: tokensOf(record), until: performance.now() + REFUSED_MS } });
}

function isRefused(file: string, record: TokenRecord): boolean {
  const refused = memories.get(file)?.refused;
  return refused !== undefined && refused.tokens === tokensOf(record) && performance.now() < refused.until;
}

/** Both, since nobody says that a new login brings another refresh token. */
function tokensOf({ access_token: access, refresh_token: refresh }: TokenRecord): string {
  return `${access} ${refresh}`;
}

/**
 * An access token that is good for another two minutes and is not `rejected`; renewed with the refresh token by one process at a time, under a lock beside the
 * file. Never asks a person.
 * @throws DriverError needs_login when there is no login or it has ended (30 days after the last one); transport when Globus Auth does not answer.
 */
export async function inferenceToken(login: GlobusLogin, env: Environment, rejected?: string): Promise<string> {
  const file = tokenFilePath(login, env);
  const stored = (await load(file))?.data[NAMESPACE]?.[login.resourceServer];
  if (stored !== undefined && isRefused(file, stored)) throw needsLogin('The login for the inference service is refused.', login);
  const { unsaved } = memories.get(file) ?? {};
  const isNewer = unsaved !== undefined && unsaved.refresh_token === stored?.refresh_token;
  if (isNewer && isUsable(unsaved, rejected)) return unsaved.access_token;
  if (stored !== undefined && isUsable(stored, rejected)) return stored.access_token;
  return withLock(file, async () => {
    const content = await load(file);
    const again = content?.data[NAMESPACE]?.[login.resourceServer];
    if (content === undefined || again === undefined) throw needsLogin(`There is no login for the inference service (${file}).`, login);
    if (isUsable(again, rejected)) return again.access_token;
    if (!again.refresh_token) throw needsLogin('The login for the inference service has no refresh token.', login);
    const fresh = { ...again, ...(await renewed(file, again, login, env)) };
    await save(file, {
      ...content,
      data: { ...content.data, [NAMESPACE]: { ...content.data[NAMESPACE], [login.resourceServer]: fresh } },
    }).catch((error: unknown) => {
      // Where nothing can be written the token serves this process.
      if (!isUnwritable(error)) throw error;
      memories.set(file, { ...memories.get(file), unsaved: fresh });
    });
    return fresh.access_token;
  });
}

/** Stores what a login brought, beside the tokens of other services that the file holds. */
export async function storeLogin(login: GlobusLogin, env: Environment, records: readonly TokenRecord[]): Promise<string> {
  const file = tokenFilePath(login, env);
  await withLock(file, async () => {
    const content = (await load(file)) ?? { data: {}, format_version: '2.0', 'globus-sdk.version': '4.9.1' };
    const fresh = Object.fromEntries(records.map((record) => [record.resource_server, record]));
    await save(file, { ...content, data: { ...content.data, [NAMESPACE]: { ...content.data[NAMESPACE], ...fresh } } });
  });
  return file;
}

async function renewed(file: string, record: TokenRecord, login: GlobusLogin, env: Environment): Promise<TokenRecord> {
  try {
    const records = await refresh(globusEnvironment(env), record, login.clientId);
    const fresh = records.find((each) => each.resource_server === record.resource_server);
    if (fresh) return fresh;
  } catch (error) {
    if (!(error instanceof DriverError) || error.class !== 'needs_login') throw error;
  }
  noteRefused(file, record);
  throw needsLogin('The login for the inference service has ended.', login);
}

function needsLogin(what: string, login: GlobusLogin): DriverError {
  return new DriverError('needs_login', 'HF-LLM-LOGIN', `${what} ${loginAdvice(login)}`);
}

/** What a person does whose login has ended: the command and the identities that the service accepts. */
export function loginAdvice({ domains }: GlobusLogin): string {
  return `Run \`holdfast login inference\`${domains.length === 0 ? '' : ` with an identity of ${domains.join(' or ')}`}.`;
}

function isUsable(record: TokenRecord, rejected: string | undefined): boolean {
  return record.access_token !== rejected && record.expires_at_seconds > Date.now() / 1000 + RENEW_BEFORE_SECONDS;
}

async function load(file: string): Promise<TokenFile | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const parsed = tokenFile.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    // Damaged: as good as none, the next login replaces it.
    return undefined;
  }
}

async function save(file: string, content: TokenFile): Promise<void> {
  await makeFolder(path.dirname(file), 0o700);
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(JSON.stringify(content));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}
