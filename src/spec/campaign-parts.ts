import type { Budget, CampaignSpec } from '../domain/campaign.ts';
import type { Point, Space } from '../domain/space.ts';
import { problemsOfPoint } from './point-checks.ts';
import type { Problem } from './problem.ts';
import type { Sections } from './sections.ts';
import type { Source } from './source.ts';
import { one } from './spellings.ts';

/** Name, description and tags, wherever they stand; without a name the file's. */
export function admitIdentity(
  sections: Sections,
  source: Source,
  problems: Problem[],
): Pick<CampaignSpec, 'name' | 'description' | 'tags'> {
  const { experiment } = sections;
  const name = one(sections.name, ['name'], experiment?.name, ['experiment', 'name'], problems);
  const description = one(sections.description, ['description'], experiment?.description, ['experiment', 'description'], problems);
  const tags = one(sections.tags, ['tags'], experiment?.tags, ['experiment', 'tags'], problems);
  const stem = source.file?.replace(/^.*\//, '').replace(/\.(ya?ml|json)$/, '');
  return {
    name: name ?? stem ?? 'campaign',
    ...(description === undefined ? {} : { description }),
    ...(tags === undefined ? {} : { tags }),
  };
}

/** The bounds of the campaign; at least one is needed, and a deadline ahead. */
export function admitBudget(sections: Sections, samplerType: string, now: Date, problems: Problem[]): Budget {
  const given = sections.budget;
  const deadline = one(given?.until, ['budget', 'until'], given?.deadline, ['budget', 'deadline'], problems);
  if (deadline !== undefined && Date.parse(deadline) <= now.getTime()) {
    problems.push({
      path: ['budget', given?.until === undefined ? 'deadline' : 'until'],
      what: `is ${deadline}, which has passed (now ${now.toISOString()})`,
    });
  }
  const isUnbounded = given === undefined || Object.keys(given).length === 0;
  if ('budget' in sections && isUnbounded && samplerType !== 'grid') {
    problems.push({ path: ['budget'], what: 'names no bound', next: 'Set budget.trials, node_hours, wall_time or until.', atKey: true });
  }
  return {
    ...(given?.trials === undefined ? {} : { trials: given.trials }),
    ...(given?.nodeHours === undefined ? {} : { nodeHours: given.nodeHours }),
    ...(given?.wallTime === undefined ? {} : { wallSeconds: given.wallTime }),
    ...(deadline === undefined ? {} : { deadline }),
  };
}

/** The user's own points, constants filled in. */
export function admitPoints(points: Sections['enqueue'], space: Space | undefined, problems: Problem[]): Point[] {
  if (space === undefined) return [];
  return (points ?? []).map((point, index) => {
    problems.push(...problemsOfPoint(space, point, ['enqueue', index]));
    const constants = space.parameters.flatMap((parameter) =>
      parameter.type === 'constant' && parameter.when === undefined ? [[parameter.name, parameter.value]] : [],
    );
    return { ...Object.fromEntries(constants), ...point };
  });
}

/** What may stand in braces, by key of working_dirs. */
const PATTERN_WORDS: Readonly<Record<string, readonly string[]>> = {
  launch_iteration_pattern: ['timestamp', 'experiment_id', 'campaign'],
  job_pattern: ['job_id'],
};

/** Names of folders that would clash or name nothing. */
export function checkPatterns(sections: Sections, problems: Problem[]): void {
  const dirs = sections.working_dirs;
  if (dirs === undefined) return;
  one(dirs.remoteBase, ['working_dirs', 'remote_base'], dirs.auroraBase, ['working_dirs', 'aurora_base'], problems);
  const patterns = { launch_iteration_pattern: dirs.launchIterationPattern, job_pattern: dirs.jobPattern };
  for (const [key, pattern] of Object.entries(patterns)) {
    const path = ['working_dirs', key];
    const words = PATTERN_WORDS[key] ?? [];
    for (const [, word] of pattern.matchAll(/\{([^{}]*)\}/g)) {
      if (!words.includes(word as string))
        problems.push({ path, what: `has {${word}}, which names nothing`, next: `Known: ${words.map((each) => `{${each}}`).join(' ')}.` });
    }
    if (pattern.includes('/') || pattern.startsWith('.'))
      problems.push({ path, what: `is "${pattern}", but must be one folder name without "/"` });
  }
  if (!dirs.jobPattern.includes('{job_id}'))
    problems.push({ path: ['working_dirs', 'job_pattern'], what: 'lacks {job_id}, so all trials would share one folder' });
  const launch = dirs.launchIterationPattern;
  if (!/\{(timestamp|experiment_id|campaign)\}/.test(launch))
    problems.push({
      path: ['working_dirs', 'launch_iteration_pattern'],
      what: 'names neither {timestamp} nor {experiment_id}, so all campaigns would share one folder',
    });
}
