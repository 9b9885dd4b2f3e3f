import { z } from 'zod';
import { type Environment, userAgent } from '../systems/globus/environment.ts';
import { unlessAborted } from '../unless-aborted.ts';
import { keySource } from './credentials.ts';
import type { GlobusLogin, Target } from './options.ts';
import { fetchFor } from './proxied-fetch.ts';

/** A list of loaded models is not worth a longer wait: without it the profile's order stands. */
const LONGEST_WAIT_SECONDS = 5;

/**
 * `GET …/resource_server/<cluster>/jobs` of ALCF's inference service: `running` and `queued` jobs, each with its models in one text, separated by commas, under
 * `Models` (`Models Served` before 2026); a job that is still loading says so in `Model Status`. Other keys are not read.
 */
const jobsSchema = z.looseObject({
  running: z.array(
    z.looseObject({ Models: z.string().optional(), 'Models Served': z.string().optional(), 'Model Status': z.string().optional() }),
  ),
});

export interface HotModels {
  /** In the order in which they are to be asked. */
  readonly targets: readonly Target[];
  /** What was learnt, for the campaign's log; absent when nothing changed. */
  readonly message?: string;
}

/**
 * Models that are loaded now first, then those of which nothing is known, then cold ones (which take 10 to 15 minutes to load); otherwise in the order of the
 * profile. A model that the campaign itself names carries no `jobsUrl` and stays where it is. A list that cannot be read changes nothing.
 */
export async function hotFirst(
  targets: readonly Target[],
  {
    globus,
    env,
    signal,
  }: { readonly globus?: GlobusLogin | undefined; readonly env: Environment; readonly signal?: AbortSignal | undefined },
): Promise<HotModels> {
  const [named, others] = targets[0]?.jobsUrl === undefined ? [targets.slice(0, 1), targets.slice(1)] : [[], [...targets]];
  const lists = new Map<string, ReadonlySet<string> | undefined>();
  for (const target of others) {
    if (target.jobsUrl === undefined || lists.has(target.jobsUrl)) continue;
    lists.set(target.jobsUrl, await loadedModels(target, target.jobsUrl, globus, env, signal));
  }
  const rank = ({ jobsUrl, model }: Target): number => {
    const list = jobsUrl === undefined ? undefined : lists.get(jobsUrl);
    return list === undefined ? 1 : list.has(model) ? 0 : 2;
  };
  const sorted = others.map((target, at) => ({ target, at })).sort((a, b) => rank(a.target) - rank(b.target) || a.at - b.at);
  const ordered = [...named, ...sorted.map(({ target }) => target)];
  const [was, is] = [targets[0], ordered[0]];
  if (was === undefined || is === undefined || was === is) return { targets: ordered };
  return { targets: ordered, message: `${was.model} is not loaded; ${is.model} is asked first.` };
}

/** Models that run and are loaded; undefined when the service does not tell. The key goes only to the origin that it was given for. */
async function loadedModels(
  target: Target,
  url: string,
  globus: GlobusLogin | undefined,
  env: Environment,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string> | undefined> {
  if (new URL(url).origin !== new URL(target.baseUrl).origin) return undefined;
  try {
    const wait = AbortSignal.timeout(LONGEST_WAIT_SECONDS * 1000);
    const key = await unlessAborted(keySource(target.apiKey, globus, env).key(), signal);
    const answer = await fetchFor(url, env)(url, {
      headers: { authorization: `Bearer ${key}`, 'user-agent': userAgent(), accept: 'application/json' },
      redirect: 'error',
      signal: signal === undefined ? wait : AbortSignal.any([signal, wait]),
    });
    if (!answer.ok) return undefined;
    const jobs = jobsSchema.safeParse(await answer.json());
    if (!jobs.success) return undefined;
    const loaded = jobs.data.running.filter((job) => !/start|load|queue/i.test(job['Model Status'] ?? ''));
    return new Set(loaded.flatMap((job) => (job.Models ?? job['Models Served'] ?? '').split(',').map((name) => name.trim())));
  } catch {
    signal?.throwIfAborted();
    // No login, no connection, no JSON, no end of it: the question itself meets the same and says what to do.
    return undefined;
  }
}
