import type { CampaignSpec } from '../domain/campaign.ts';
import { BadSpec } from './bad-spec.ts';
import { admitBudget, admitIdentity, admitPoints, checkPatterns } from './campaign-parts.ts';
import { admitDeploy } from './deploy-admit.ts';
import { type Environment, expandVariables } from './expand.ts';
import { checkFurtherKeys } from './further-keys.ts';
import { globusBlockSchema } from './globus-settings.ts';
import { admitRamp, shareGlobus } from './globus-shared.ts';
import { admitLlm } from './llm-admit.ts';
import type { ProfileOptions } from './load-profile.ts';
import { type Path, type Problem, pathText } from './problem.ts';
import { admitObjectives, admitPruner, admitSampler, admitStop } from './search-admit.ts';
import { checkSecrets, parseSections, type Sections } from './sections.ts';
import { isMapping, readSource, type Source, sourceFromObject, sourceFromText } from './source.ts';
import { admitSpace } from './space-admit.ts';
import { chooseSystem } from './system-choice.ts';
import { admitTraining } from './training-admit.ts';
import { admitWarmStart } from './warm-start.ts';

export interface AdmitOptions {
  /** For `${VAR}`; default process.env. */
  readonly env?: Environment;
  /** For deadlines that have passed; default: the clock. */
  readonly now?: Date;
  /** Folder to which a file's name is relative; default: the process's. */
  readonly folder?: string;
  /** For what writes that file: `warm_start` need not be there yet. */
  readonly ignoresWarmStart?: boolean;
  /** Folders of profiles; default: `config/systems` here and in the package. */
  readonly profileFolders?: readonly string[];
}

/**
 * Reads and checks a campaign: `source` is the name of a YAML or JSON file, or the whole specification as an object. Example:
 * `await admitCampaign('config/campaigns/digits.yaml')`. Reads files, nothing else.
 * @returns the specification with every default filled in.
 * @throws BadSpec holding every problem at once.
 */
export async function admitCampaign(source: unknown, options: AdmitOptions = {}): Promise<CampaignSpec> {
  if (typeof source === 'string') return admitSource(readSource(source, options.folder ?? process.cwd()), options);
  if (isMapping(source)) return admitSource(sourceFromObject(source), options);
  const word = source === undefined ? 'missing' : source === null ? 'null' : Array.isArray(source) ? 'a list' : `a ${typeof source}`;
  const problem = { path: '', what: `The input is ${word}` };
  throw new BadSpec('The input', [
    { ...problem, next: 'Give the name of a campaign file as a JSON text, or the specification as a JSON object.' },
  ]);
}

/** The same for text that is not in a file; `name` stands for it in messages. */
export function admitText(text: string, name: string, options: AdmitOptions = {}): CampaignSpec {
  return admitSource(sourceFromText(text, name), options);
}

function admitSource(source: Source, options: AdmitOptions): CampaignSpec {
  const problems: Problem[] = [];
  checkSecrets(source.value, problems);
  const root = expandVariables(source.value, options.env ?? process.env, problems) as Readonly<Record<string, unknown>>;
  const unset = problems.map((problem) => pathText(problem.path));
  const sections = parseSections(root, problems);
  checkFurtherKeys(root, sections, problems);
  const spec = assemble(sections, root, source, options, problems);
  if (spec === undefined || problems.length > 0) throw new BadSpec(source.name, sorted(problems, source, unset));
  return spec;
}

/**
 * In the order of the file, each once. Left out is what only follows from another problem: of a text whose variable is not set (`unset` has its
 * path), and of a section that is missing because its name is misspelt.
 */
function sorted(problems: readonly Problem[], source: Source, unset: readonly string[]): BadSpec['problems'] {
  const meant = new Set(problems.flatMap(({ path, next }) => meantPath(path, next) ?? []));
  const placed = problems.map(source.place);
  const own = placed.filter((one, index) => {
    const isFirst =
      placed.findIndex((other) => other.path === one.path && (other.what === one.what || (unset.includes(one.path) && !isUnset(one)))) ===
      index;
    return isFirst && !(one.what === 'is missing' && meant.has(one.path));
  });
  return own.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

const isUnset = ({ what }: { readonly what: string }): boolean => what.startsWith('the environment variable ');

/** The path of the key that an unknown one stands for: the same section, or the whole path where the advice names one. */
function meantPath(path: Path, next: string | undefined): string | undefined {
  const [, near, written] = /^(?:Did you mean "(.*)"\?|Write ([a-z_.]+)\.)$/.exec(next ?? '') ?? [];
  if (written?.includes('.') === true) return written;
  const key = near ?? written;
  return key === undefined ? undefined : pathText([...path.slice(0, -1), key]);
}

function assemble(
  sections: Sections,
  root: Readonly<Record<string, unknown>>,
  source: Source,
  options: AdmitOptions,
  problems: Problem[],
): CampaignSpec | undefined {
  const names = isMapping(root.search_space) ? Object.keys(root.search_space) : [];
  const space = sections.search_space && admitSpace(sections.search_space, names, sections.constraints ?? [], problems);
  const profiles: ProfileOptions = {
    ...(options.profileFolders ? { folders: options.profileFolders } : {}),
    ...(options.env ? { env: options.env } : {}),
  };
  const system = 'system' in sections && 'globus_compute' in sections ? chooseSystem(sections, root, profiles, problems) : undefined;
  const objectives = admitObjectives(sections.objective, sections.stop, problems);
  const { sampler, seed } = admitSampler(sections.sampler, space, problems);
  const pruner = admitPruner(sections.pruner, problems);
  const llm = admitLlm(sections.llm, problems);
  const stop = admitStop(sections.stop, objectives, problems);
  const training = admitTraining(sections, isMapping(root.search_space) ? names : undefined, problems);
  const budget = admitBudget(sections, sampler.type, options.now ?? new Date(), problems);
  const enqueue = admitPoints(sections.enqueue, space, problems);
  const warmStart =
    space && objectives && options.ignoresWarmStart !== true
      ? admitWarmStart(
          sections.warm_start,
          { space, objectives, metricConstraints: sections.metric_constraints },
          options.folder ?? process.cwd(),
          problems,
        )
      : [];
  const deploy = admitDeploy(sections.deploy, options.env, options.folder ?? process.cwd(), problems);
  const identity = admitIdentity(sections, source, problems);
  checkPatterns(sections, problems);
  const globus = system?.kind === 'globus_compute' ? (sections.globus_compute ?? globusBlockSchema.parse({})) : undefined;
  if (globus !== undefined && budget.nodeHours !== undefined)
    problems.push({
      path: ['budget', 'node_hours'],
      what: 'has no effect behind a Globus Compute endpoint, which does not tell what its blocks cost',
      next: 'Set budget.wall_time or budget.trials.',
      atKey: true,
    });
  const shared = shareGlobus(sections, globus, root, problems);
  const ramp = admitRamp(sections, globus, shared.concurrency, problems);
  if (!space || !system || !objectives || !training || !sections.limits || !sections.retries || !sections.working_dirs) return undefined;
  const { auroraBase, remoteBase, ...dirs } = sections.working_dirs;
  const { trialSeconds: _, ...limits } = sections.limits;
  const base = remoteBase ?? auroraBase;
  return {
    version: 1,
    ...identity,
    system,
    objectives,
    ...(sections.metric_constraints ? { metricConstraints: sections.metric_constraints } : {}),
    space,
    sampler,
    ...(pruner === undefined ? {} : { pruner }),
    ...(llm === undefined ? {} : { llm }),
    enqueue,
    ...(warmStart.length === 0 ? {} : { warmStart }),
    training,
    ...(deploy === undefined ? {} : { deploy: { ...deploy } }),
    budget,
    stop,
    ...(shared.concurrency === undefined ? {} : { concurrency: shared.concurrency }),
    ...(ramp === undefined ? {} : { ramp }),
    ...(shared.spacing === undefined ? {} : { spacingSeconds: shared.spacing }),
    limits: { ...(shared.trialSeconds === undefined ? {} : { trialSeconds: shared.trialSeconds }), ...limits },
    retries: { infrastructure: shared.retries ?? 5, trial: sections.retries.trial ?? 1 },
    workingDirs: { ...dirs, ...(base === undefined ? {} : { remoteBase: base }) },
    ...(sections.notify === undefined || sections.notify.length === 0 ? {} : { notify: sections.notify }),
    allowDuplicates: sections.allow_duplicates ?? false,
    seed,
  };
}
