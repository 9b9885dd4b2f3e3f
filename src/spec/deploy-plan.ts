import path from 'node:path';
import * as z from 'zod';
import { BadSpec } from './bad-spec.ts';
import { type Environment, expandVariables } from './expand.ts';
import { problemsOf } from './issues.ts';
import type { Problem } from './problem.ts';
import { positiveInteger, text, textList } from './scalars.ts';
import { section } from './section.ts';
import { readSource } from './source.ts';

/** What a system must have before a campaign's first start (rows D1 to D9), as a file. Parts that are absent are not deployed. */
export const deployPlanSchema = section({
  version: z.literal(1),
  base: z
    .string()
    .regex(/^(\/|~\/)/, 'must begin with / or ~/')
    .meta({ description: 'Folder on the system; the other paths lie in it' }),
  setup: textList()
    .exactOptional()
    .meta({ description: 'Shell lines before each step, like "module load frameworks"; default: those of the profile' }),
  repository: section({
    url: text().exactOptional().meta({ description: 'Default: origin of the git repository that you are in' }),
    branch: text().exactOptional().meta({ description: 'Default: the branch that you are on' }),
    path: text().default('code'),
  }).exactOptional(),
  python: section({
    venv: text().default('venv'),
    interpreter: text().exactOptional().meta({ description: 'Default: python of the profile' }),
    system_site_packages: z.boolean().default(true).meta({ description: "See the site's own packages (PyTorch of a module)" }),
    requirements: text().exactOptional().meta({ description: 'A file of the repository' }),
    packages: z.array(text()).default([]),
  }).exactOptional(),
  data: section({
    cifar100: text().meta({ description: 'Folder; data/ and data/cifar-100-python both work' }),
    from: text().exactOptional().meta({ description: 'Archive or folder that is on the system already' }),
    url: text().exactOptional(),
    generate: z.boolean().default(false).meta({ description: 'Synthetic data of the same format, for a trial run' }),
    train_images: positiveInteger().exactOptional(),
    test_images: positiveInteger().exactOptional(),
  }).exactOptional(),
  verify: section({
    files: z.array(text()).default([]).meta({ description: 'Files or folders of the repository that must be there and not empty' }),
  }).prefault({}),
});

export type DeployPlan = z.output<typeof deployPlanSchema>;

/** Reads a plan. Throws BadSpec with every problem and where it stands. */
export function readDeployPlan(file: string, env: Environment = process.env, folder = process.cwd()): DeployPlan {
  const source = readSource(file, folder);
  const problems: Problem[] = [];
  const value = expandVariables(source.value, env, problems);
  const parsed = deployPlanSchema.safeParse(value);
  if (!parsed.success) problems.push(...problemsOf(parsed.error.issues, value, []));
  else if (parsed.data.python?.requirements !== undefined && parsed.data.repository === undefined)
    problems.push({
      path: ['python', 'requirements'],
      what: 'names a file of the repository, and there is none',
      next: 'Add a repository block, or list python.packages.',
    });
  if (!parsed.success || problems.length > 0) throw new BadSpec(source.name, problems.map(source.place));
  return parsed.data;
}

/** A path of the plan on the system. */
export function inBase(base: string, name: string): string {
  return name.startsWith('/') ? name : path.posix.join(base, name);
}
