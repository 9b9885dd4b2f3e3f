import type { DeployPlan } from '../../spec/deploy-plan.ts';
import { type DeployTarget, DriverError } from '../driver.ts';
import { type DeployReport, deploy } from './deploy.ts';

/**
 * Carries out the deploy plan of a campaign before its launch is prepared (row D9): everything that is right already is left alone, a step that still
 * runs is joined. Returns what is recorded with the campaign.
 * @throws DriverError `refused` (HF-DEPLOY-FAILED) when a step failed or something is missing, so that nothing is submitted; else as `deploy`.
 */
export async function deployForCampaign(
  system: string,
  plan: DeployPlan,
  target: DeployTarget,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const { repository } = plan;
  const report = await deploy(
    {
      system,
      plan,
      action: 'all',
      setup: plan.setup ?? target.setup,
      interpreter: plan.python?.interpreter ?? target.python,
      ...(repository?.url === undefined || repository.branch === undefined
        ? {}
        : { repository: { url: repository.url, branch: repository.branch, path: repository.path } }),
    },
    { shell: target.shell, say, signal, ...(target.pollSeconds === undefined ? {} : { pollSeconds: target.pollSeconds }) },
  );
  if (!report.ok) throw new DriverError('refused', 'HF-DEPLOY-FAILED', failureText(report));
  return {
    ...(report.repository?.commit === undefined ? {} : { deployed_commit: report.repository.commit }),
    ...(report.python?.python === undefined ? {} : { deployed_python: `${report.python.python} in ${report.python.venv}` }),
    ...(report.dataset === undefined ? {} : { deployed_data: report.dataset.data_dir }),
  };
}

function failureText({ system, repository, python, dataset, verification }: DeployReport): string {
  const steps = { repository, python, 'data set': dataset, verification };
  const [step = 'deploy', part] = Object.entries(steps).find(([, each]) => each?.status === 'error') ?? [];
  return `deploy: ${step} of ${system} is not as the plan says: ${(part?.error ?? 'see holdfast deploy').replace(/\.$/, '')}. Nothing was submitted. Mend it, then start the campaign again.`;
}
