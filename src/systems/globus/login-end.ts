import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder } from '../../make-folder.ts';
import { writeJsonDurably } from '../spool/durable-write.ts';
import { type AuthMethod, resolveLogin } from './authorizer.ts';
import { type Environment, type GlobusEnvironment, globusEnvironment } from './environment.ts';
import { COMPUTE_RESOURCE_SERVER } from './oauth.ts';
import { openTokenStore, type TokenRecord } from './token-store.ts';

/** Days after which sites end a login however often its tokens were renewed (ALCF; failures.md R12). A profile may say otherwise. */
export const LOGIN_DAYS = 30;
/** Days before the end from which on it is told. */
const TOLD_BEFORE_DAYS = 7;
const DAY_MS = 86_400_000;
/** Globus renews access tokens for 48 hours at a time. */
const ACCESS_TOKEN_MS = 172_800_000;

export interface LoginEnd {
  /** Milliseconds since the epoch. */
  readonly madeAt: number;
  readonly endsAt: number;
  /** False: somebody else's program logged in, and this is when it was first seen. */
  readonly isExact: boolean;
}

const known = z.record(z.string(), z.object({ print: z.string(), made_at: z.number(), is_exact: z.boolean() }));

/** Writes down when a person has logged in: nothing in the tokens says it. Holds no token, only a print of the one that lasts. */
export async function noteLogin(
  environment: GlobusEnvironment,
  namespace: string,
  record: TokenRecord,
  madeAt: number,
  isExact: boolean,
): Promise<void> {
  const path = fileOf(environment);
  await makeFolder(environment.userDirectory, 0o700);
  await writeJsonDurably(path, { ...(await load(path)), [namespace]: { print: printOf(record), made_at: madeAt, is_exact: isExact } });
}

/**
 * When this computer's login ends. Undefined for a client of its own (its secret has no such end), without a login, and for one that is not renewed at
 * all (its access token's own end is near anyway). A login that was made by another program (the Python SDK) counts from when its token was first seen.
 */
export async function loginEnd(
  method: AuthMethod,
  env: Environment,
  days: number = LOGIN_DAYS,
  now: number = Date.now(),
): Promise<LoginEnd | undefined> {
  if (method !== 'native_client') return undefined;
  const environment = globusEnvironment(env);
  const { namespace } = resolveLogin(method, environment, env);
  const record = await (await openTokenStore(environment)).read(namespace, COMPUTE_RESOURCE_SERVER);
  if (!record?.refresh_token) return undefined;
  const noted = (await load(fileOf(environment)))[namespace];
  if (noted?.print === printOf(record)) return endOf(noted.made_at, noted.is_exact, days);
  const seenAt = Math.min(now, record.expires_at_seconds * 1000 - ACCESS_TOKEN_MS);
  await noteLogin(environment, namespace, record, seenAt, false);
  return endOf(seenAt, false, days);
}

/** One sentence for people from a week before the end on; the same all day long, so that it is news once. */
export function loginWarning({ madeAt, endsAt, isExact }: LoginEnd, now: number = Date.now()): string | undefined {
  if (endsAt - now > TOLD_BEFORE_DAYS * DAY_MS) return undefined;
  const since = `${isExact ? 'made' : 'first seen'} on ${dayOf(madeAt)}`;
  return now < endsAt
    ? `Globus login ends on ${dayOf(endsAt)} (${since}). Run \`holdfast login globus\` before.`
    : `Globus login was to end on ${dayOf(endsAt)} (${since}). Run \`holdfast login globus\`.`;
}

function endOf(madeAt: number, isExact: boolean, days: number): LoginEnd {
  return { madeAt, endsAt: madeAt + days * DAY_MS, isExact };
}

/** The day of an instant, milliseconds since the epoch, in UTC: `2026-11-24`. */
export function dayOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10);
}

function fileOf(environment: GlobusEnvironment): string {
  return join(environment.userDirectory, 'holdfast-logins.json');
}

function printOf(record: TokenRecord): string {
  return createHash('sha256')
    .update(record.refresh_token ?? '')
    .digest('hex')
    .slice(0, 16);
}

async function load(path: string): Promise<z.infer<typeof known>> {
  try {
    return known.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    // Missing or damaged: the login counts from now on.
    return {};
  }
}
