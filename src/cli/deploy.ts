import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type DeployPlan, readDeployPlan } from '../spec/deploy-plan.ts';
import { loadProfile } from '../spec/load-profile.ts';
import type { SystemProfile } from '../spec/profile.ts';
import { openShell } from '../ssh/open-shell.ts';
import { type SshSettings, sshSettings } from '../ssh/settings.ts';
import type { RemoteShell } from '../ssh/transport.ts';
import { DEPLOY_ACTIONS, type DeployAction, type DeployReport, type DeployTask, deploy as deployPlan } from '../systems/deploy/deploy.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, print, progressOf, type QuietOptions } from './io.ts';
import { askInTerminal } from './login.ts';

export interface DeployOptions extends QuietOptions {
  /** The plan's file. */
  readonly config: string;
  readonly action?: string;
}

/**
 * `holdfast deploy <system> -c deploy.yaml [-a repo|python|dataset|verify|all]`: repository, Python environment, data set and verification on
 * the system. Exit `failed` when anything is not as the plan says, so that `holdfast deploy … && holdfast run …` submits nothing then.
 */
export async function deploy(system: string, options: DeployOptions, io: CliIo): Promise<Exit> {
  const action = (options.action ?? 'all') as DeployAction;
  if (!DEPLOY_ACTIONS.includes(action))
    throw new CliError('usage', 'HF-USAGE', `--action ${action} is not known. Choose ${DEPLOY_ACTIONS.join(', ')}.`);
  const profile = loadProfile(system, { env: io.env });
  const plan = readDeployPlan(options.config, io.env);
  const { shell, login, settings } = await reach(system, profile, io);
  try {
    if (login && settings?.auth === 'passcode') await login(askInTerminal(io, profile.name));
    else if (settings?.transport !== 'none') await shell.check();
    const report = await deployPlan(
      await taskFor(
        profile.name,
        plan,
        { setup: profile.kind === 'local' ? [] : profile.setup, python: profile.python ?? 'python3' },
        action,
      ),
      {
        shell,
        say: progressOf(io, options),
        signal: io.interrupted,
      },
    );
    print(io, options, report, describeReport(report));
    return report.ok ? 'ok' : 'failed';
  } finally {
    await shell.close();
  }
}

/** The way to a system: ssh, this computer, or tasks of its Globus Compute endpoint. */
async function reach(
  system: string,
  profile: SystemProfile,
  io: CliIo,
): Promise<{ shell: RemoteShell; login?: ReturnType<typeof openShell>['login']; settings?: SshSettings }> {
  if (profile.kind === 'globus_compute') {
    const { openTaskShell } = await import('../systems/globus/open-task-shell.ts');
    return { shell: openTaskShell(system, profile.endpointId, io.env) };
  }
  const settings = profile.kind === 'pbs' ? profile.ssh : sshSettings.parse({ host: 'localhost', transport: 'none' });
  return { ...openShell(system, settings, { ...io.env }), settings };
}

async function taskFor(
  system: string,
  plan: DeployPlan,
  profile: { readonly setup: readonly string[]; readonly python: string },
  action: DeployAction,
): Promise<DeployTask> {
  const { repository } = plan;
  return {
    system,
    plan,
    action,
    setup: plan.setup ?? profile.setup,
    interpreter: plan.python?.interpreter ?? profile.python,
    ...(repository === undefined
      ? {}
      : {
          repository: {
            url: repository.url ?? (await git('config', '--get', 'remote.origin.url')),
            branch: repository.branch ?? (await git('rev-parse', '--abbrev-ref', 'HEAD')),
            path: repository.path,
          },
        }),
  };
}

async function git(...words: string[]): Promise<string> {
  const told = await promisify(execFile)('git', words).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
  if (told === '' || told === 'HEAD')
    throw new CliError(
      'usage',
      'HF-DEPLOY-GIT',
      `This folder's git does not say what to deploy (git ${words.join(' ')}). Set repository.url and repository.branch in the plan.`,
    );
  return told;
}

/** A few lines for people. */
export function describeReport(report: DeployReport): string {
  const { repository, python, dataset, verification } = report;
  return [
    ...(repository
      ? [
          `repository    ${repository.error ?? `${repository.action} ${repository.repo_path} (${repository.repo_branch}, ${repository.commit?.slice(0, 12)})`}`,
        ]
      : []),
    ...(python
      ? [
          `python        ${python.error ?? `${python.action} ${python.venv} (python ${python.python}${python.packages.map((name) => `, ${name}`).join('')})`}`,
        ]
      : []),
    ...(dataset
      ? [`data set      ${dataset.error ?? `${dataset.action} ${dataset.data_dir}${dataset.synthetic ? ' (synthetic)' : ''}`}`]
      : []),
    ...(verification ? [`verification  ${verification.error ?? `${Object.keys(verification.checks).length} checks ok`}`] : []),
    report.ok
      ? `${report.system} is ready.`
      : `${report.system} is not ready: mend what is named above, then run holdfast deploy again. Nothing was submitted.`,
  ].join('\n');
}
