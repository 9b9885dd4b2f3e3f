import type { LlmConfig } from '../domain/campaign.ts';
import { BadSpec } from './bad-spec.ts';
import { type LlmService, loadLlmService } from './llm-service.ts';
import type { LlmBlock } from './llm-settings.ts';
import type { Problem } from './problem.ts';

/** The `llm` block as the campaign carries it; a named service fills in its models and its login. */
export function admitLlm(block: LlmBlock | undefined, problems: Problem[]): LlmConfig | undefined {
  if (block === undefined) return undefined;
  const { service: name, baseUrl, model, apiKey, fallback, ...options } = block;
  const service = name === undefined ? undefined : readService(name, problems);
  if (name !== undefined && service === undefined) return undefined;
  if (service !== undefined && baseUrl !== undefined) {
    problems.push({ path: ['llm', 'base_url'], what: `contradicts llm.service, which has its own addresses`, next: 'Keep one of them.' });
  }
  const targets = service === undefined ? [] : inOrder(service, model);
  const first = service === undefined ? { baseUrl, model } : targets[0];
  if (first?.baseUrl === undefined || first.model === undefined) {
    const what = first?.model === undefined ? 'names no model' : 'has no address for its model';
    problems.push({ path: ['llm'], what, next: 'Set llm.service, or llm.base_url and llm.model.', atKey: true });
    return undefined;
  }
  const own = fallback.map((each) => ({ ...each, baseUrl: each.baseUrl ?? (first.baseUrl as string) }));
  const key = apiKey ?? (service?.globus === undefined ? undefined : 'globus');
  for (const { url, at } of [
    { url: first.baseUrl, at: ['llm', 'base_url'] },
    ...own.map((each, index) => ({ url: each.baseUrl, at: ['llm', 'fallback', index, 'base_url'] })),
  ]) {
    if (key !== undefined && !isEncrypted(url))
      problems.push({
        path: at,
        what: `is ${url}: a key would travel in clear text`,
        next: 'Use https:// (http:// with a key is for this computer only).',
      });
  }
  return {
    baseUrl: first.baseUrl,
    model: first.model,
    ...(key === undefined ? {} : { apiKey: key }),
    options: {
      ...options,
      // A model that the campaign names is asked first, loaded or not: only so is it loaded at all.
      ...(model === undefined && targets[0]?.jobsUrl !== undefined ? { jobsUrl: targets[0].jobsUrl } : {}),
      fallback: [...own, ...targets.slice(1)],
      ...(service?.globus === undefined ? {} : { globus: service.globus }),
    },
  };
}

function readService(name: string, problems: Problem[]): LlmService | undefined {
  try {
    return loadLlmService(name);
  } catch (error) {
    if (!(error instanceof BadSpec)) throw error;
    for (const { what, next, path, line } of error.problems) {
      const place = path === '' ? '' : `${path} (line ${line ?? 1}): `;
      problems.push({ path: ['llm', 'service'], what: `${place}${what}`, ...(next === undefined ? {} : { next }) });
    }
    return undefined;
  }
}

/** The service's models, the one that the campaign names first; a model that the profile does not list is asked at its first address. */
function inOrder(service: LlmService, model: string | undefined): LlmService['models'] {
  if (model === undefined) return service.models;
  const named = service.models.filter((each) => each.model === model);
  const first = named.length > 0 ? named : [{ baseUrl: service.models[0]?.baseUrl as string, model }];
  return [...first, ...service.models.filter((each) => each.model !== model)];
}

function isEncrypted(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}
