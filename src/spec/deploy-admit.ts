import { BadSpec } from './bad-spec.ts';
import { type DeployPlan, readDeployPlan } from './deploy-plan.ts';
import type { Environment } from './expand.ts';
import type { Problem } from './problem.ts';

/**
 * The plan that the campaign's key `deploy` names (row D9), as it travels with the campaign. The worker that carries it out stands in no checkout of
 * the user's, so the plan must say which repository; and it stands in the history, so it must hold no password.
 */
export function admitDeploy(
  file: string | undefined,
  env: Environment | undefined,
  folder: string,
  problems: Problem[],
): DeployPlan | undefined {
  if (file === undefined) return undefined;
  const path = ['deploy'];
  let plan: DeployPlan;
  try {
    plan = readDeployPlan(file, env, folder);
  } catch (error) {
    if (!(error instanceof BadSpec)) throw error;
    for (const problem of error.problems) {
      const place = problem.file === undefined ? '' : `${problem.file}:${problem.line ?? 1}:${problem.column ?? 1}, `;
      const what = `${place}${problem.path === '' ? '' : `${problem.path}: `}${problem.what}`;
      problems.push({ path, what, ...(problem.next === undefined ? {} : { next: problem.next }) });
    }
    return undefined;
  }
  const { repository } = plan;
  if (repository !== undefined && (repository.url === undefined || repository.branch === undefined)) {
    problems.push({
      path,
      what: `${file} names no repository.${repository.url === undefined ? 'url' : 'branch'}`,
      next: 'A campaign does not know which checkout you are in: write url and branch into the plan.',
    });
  }
  if (/^[a-z+]+:\/\/[^/@]*:[^/@]+@/i.test(repository?.url ?? '') || /^https?:\/\/[^/@]+@/i.test(repository?.url ?? '')) {
    problems.push({
      path,
      what: `${file} has a password or token in repository.url: it would stand in the history`,
      next: "Give the system a deploy key or git's credential helper, and write the address without it.",
    });
  }
  return plan;
}
