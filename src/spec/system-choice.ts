import type { SystemChoice } from '../domain/campaign.ts';
import { BadSpec } from './bad-spec.ts';
import type { CampaignSections } from './campaign-schema.ts';
import { checkRequest } from './check-request.ts';
import { type GlobusSettings, globusBlockSchema } from './globus-settings.ts';
import { problemsOf } from './issues.ts';
import { loadProfile, type ProfileOptions } from './load-profile.ts';
import { pbsSettingsSchema } from './pbs-settings.ts';
import type { Problem } from './problem.ts';
import type { SystemProfile } from './profile.ts';
import { isMapping } from './source.ts';

/** Profile of a campaign that only says `globus_compute.enabled: true`. */
const DEFAULT_GLOBUS = 'globus-compute';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * The system that the file asks for: `system:` names one outright; else `globus_compute.enabled: true` means Globus Compute; else this computer.
 * Contradictions, settings that the kind of system does not have, and requests beyond a queue's limits become problems.
 */
export function chooseSystem(
  sections: Pick<Partial<CampaignSections>, 'system' | 'globus_compute'>,
  root: Readonly<Record<string, unknown>>,
  options: ProfileOptions,
  problems: Problem[],
): SystemChoice | undefined {
  const { system, globus_compute: block } = sections;
  const isGlobus = block?.enabled === true;
  const name = typeof system === 'string' ? system : (system?.name ?? (isGlobus ? DEFAULT_GLOBUS : 'local'));
  const profile = findProfile(name, options, problems);
  if (profile === undefined) return undefined;
  const { kind } = profile;
  if (isGlobus && kind !== 'globus_compute') {
    problems.push({
      path: ['globus_compute', 'enabled'],
      what: `is true, but system "${name}" is of kind ${kind}`,
      next: 'Remove `system`, or set globus_compute.enabled to false.',
    });
  }
  const isSwitchedOff = isMapping(root.globus_compute) && root.globus_compute.enabled === false;
  if (isSwitchedOff && kind === 'globus_compute') {
    problems.push({
      path: ['system'],
      what: `"${name}" is a Globus Compute system, but globus_compute.enabled is false`,
      next: 'Remove one of them.',
    });
  }
  const given = typeof system === 'object' ? Object.fromEntries(Object.entries(system).filter(([key]) => key !== 'name')) : {};
  const settings = readSettings(profile, given, block, root, problems);
  return settings === undefined ? undefined : { name: profile.name, kind, settings };
}

function findProfile(name: string, options: ProfileOptions, problems: Problem[]): SystemProfile | undefined {
  try {
    return loadProfile(name, options);
  } catch (error) {
    if (!(error instanceof BadSpec)) throw error;
    for (const problem of error.problems) {
      const place = problem.file === undefined ? '' : `profile ${problem.file}:${problem.line ?? 1}:${problem.column ?? 1}, `;
      const what = `${place}${problem.path === '' ? '' : `${problem.path}: `}${problem.what}`;
      problems.push({ path: ['system'], what, ...(problem.next === undefined ? {} : { next: problem.next }) });
    }
    return undefined;
  }
}

function readSettings(
  profile: SystemProfile,
  given: Readonly<Record<string, unknown>>,
  block: CampaignSections['globus_compute'],
  root: Readonly<Record<string, unknown>>,
  problems: Problem[],
): SystemChoice['settings'] | undefined {
  if (profile.kind === 'globus_compute') {
    for (const key of Object.keys(given)) {
      problems.push({
        path: ['system', key],
        what: 'is not a key here',
        next: 'Settings of Globus Compute stand under globus_compute.',
        atKey: true,
      });
    }
    return globusSettings(block ?? globusBlockSchema.parse({}), profile.endpointId, problems);
  }
  if (profile.kind === 'local') {
    for (const key of Object.keys(given)) {
      const next = key === 'slots' ? 'Use concurrency.' : 'A system of kind local has no settings; copy its profile to change it.';
      problems.push({ path: ['system', key], what: 'is not a key here', next, atKey: true });
    }
    return {};
  }
  const parsed = pbsSettingsSchema.safeParse(given);
  if (!parsed.success) {
    problems.push(...problemsOf(parsed.error.issues, root, ['system']));
    return undefined;
  }
  problems.push(...checkRequest(profile, parsed.data));
  return { ...parsed.data };
}

function globusSettings(
  block: NonNullable<CampaignSections['globus_compute']>,
  ofProfile: string | undefined,
  problems: Problem[],
): Readonly<Record<string, unknown>> | undefined {
  const endpointId = block.endpointId ?? ofProfile;
  if (endpointId === undefined) {
    problems.push({ path: ['globus_compute'], what: 'lacks endpoint_id', next: 'Put in the UUID that `holdfast endpoint status` shows.' });
    return undefined;
  }
  if (!UUID.test(endpointId)) {
    const isPlaceholder = /endpoint-id/.test(endpointId);
    problems.push({
      path: ['globus_compute', 'endpoint_id'],
      what: isPlaceholder
        ? `is still the guide's placeholder ${JSON.stringify(endpointId)}`
        : `is ${JSON.stringify(endpointId)}, which is no UUID`,
      next: 'Put in the UUID that `holdfast endpoint status` shows.',
    });
    return undefined;
  }
  const settings: GlobusSettings = {
    endpointId,
    ...(block.endpointConfigPath === undefined ? {} : { endpointConfigPath: block.endpointConfigPath }),
    authMethod: block.authMethod,
    functionTimeoutSeconds: block.functionTimeout,
    maxRetries: block.maxRetries,
    ...(block.liveMetrics === undefined ? {} : { liveMetrics: block.liveMetrics }),
    ...(block.userEndpointConfig === undefined ? {} : { userEndpointConfig: block.userEndpointConfig }),
  };
  return { ...settings };
}
