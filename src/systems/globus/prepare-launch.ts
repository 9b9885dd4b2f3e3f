import { createHash } from 'node:crypto';
import { isAbsolute, join, resolve } from 'node:path';
import type { LaunchRecord } from '../../domain/spool.ts';
import { BadSpec } from '../../spec/bad-spec.ts';
import { DriverError, type LaunchPlan, type PreparedLaunch } from '../driver.ts';
import { checkAnswer, launchAnswer, probeAnswer } from './answers.ts';
import { agentArchive, trainingArchive } from './archive.ts';
import type { CampaignFacts, FactsStore } from './campaign-facts.ts';
import type { GlobusConnection } from './connection.ts';
import { type ControlOptions, control, type TaskTarget, withFunction } from './control-tasks.ts';
import { endpointCapacity } from './endpoint-capacity.ts';
import { campaignSettings, type DriverTimes, type GlobusDriverOptions, localLaunchDirectory } from './options.ts';
import { packPayload } from './serialize.ts';
import { stageArchive } from './staging.ts';

/** Opens the task group of a campaign with a probe task, which warms the endpoint and reports its host and Python. */
export async function openGroup(target: TaskTarget, base: string): Promise<{ groupId: string; taskId: string }> {
  const answer = await withFunction(target, (functionId) =>
    target.client.submit(
      {
        endpointId: target.endpointId,
        functionId,
        payloads: [packPayload([{ op: 'probe', base }])],
        ...(target.userEndpointConfig === undefined ? {} : { userEndpointConfig: target.userEndpointConfig }),
      },
      // A group that nobody knows of holds nothing but the probe.
      { repeatable: true },
    ),
  );
  return { groupId: answer.groupId, taskId: answer.taskIds[0] as string };
}

/**
 * Makes the launch folder on the endpoint without ssh: probe, agent and bundle by content hash, launch.json, check of the environment. Each step is
 * a task that finds what an earlier call did. Throws DriverError; nothing of the campaign has been submitted then.
 */
export async function prepareLaunch(
  plan: LaunchPlan,
  options: GlobusDriverOptions,
  times: DriverTimes,
  connection: GlobusConnection,
  store: FactsStore,
  before: CampaignFacts | undefined,
  progress: (note: string) => void,
  signal?: AbortSignal,
): Promise<{ prepared: PreparedLaunch; facts: CampaignFacts }> {
  const { spec } = plan;
  // Facts of an earlier launch under the same campaign id (it was terminated) say nothing about this one.
  const known = before?.launch === plan.launch ? before : undefined;
  const settings = campaignSettings(spec.system.settings);
  const base = spec.workingDirs.remoteBase ?? options.base ?? '~/holdfast';
  const localDirectory = localLaunchDirectory(options, spec.workingDirs.localBase, plan.launch);
  const userEndpointConfig = { ...options.userEndpointConfig, ...settings.userEndpointConfig };
  const hasConfig = Object.keys(userEndpointConfig).length > 0;
  const target = connection.target(settings.endpointId, settings.authMethod, hasConfig ? userEndpointConfig : undefined);
  const asked: ControlOptions = {
    timeoutSeconds: times.control,
    pollSeconds: options.pollSeconds ?? 15,
    progress,
    ...(signal ? { signal } : {}),
  };

  // Before anything is sent: a mistake in the endpoint's own file is the user's.
  const capacity = await endpointCapacity(settings, options.workingFolder ?? process.cwd(), spec.concurrency).catch(refuseBadFile);
  progress('probing the endpoint');
  const group = known?.groupId === undefined ? await openGroup(target, base) : undefined;
  const probe = only(await control(target, [{ op: 'probe', base }], probeAnswer, asked));
  const agent = await agentArchive();
  const agentFolder = await stageArchive(target, probe.base, agent, 'the agent', asked);
  const bundle = spec.training.bundle === undefined ? undefined : await trainingArchive(bundleFolder(options, spec.training.bundle));
  if (bundle) await stageArchive(target, probe.base, bundle, 'the training code', asked);

  const python = options.python ?? 'python3';
  const environment = { ...options.env, ...spec.training.env };
  progress('checking the environment on a worker');
  const check = only(
    await control(
      target,
      [
        {
          op: 'check',
          python,
          setup: options.setup ?? [],
          env: environment,
          modules: [],
          data_dir: spec.training.dataDir ?? null,
          dataset: null,
        },
      ],
      checkAnswer,
      asked,
    ),
  );
  if (check.problems.length > 0) {
    const told = check.problems.map((problem) => problem.message).join('; ');
    throw new DriverError(
      'refused',
      'HF-GLOBUS-ENVIRONMENT-CHECK',
      `environment of endpoint ${settings.endpointId} is not ready (${check.host}): ${told}. Mend it (worker_init, python, data.dir), then start the campaign again.`,
    );
  }

  const record = launchRecord(plan, {
    python,
    env: environment,
    bundle: bundle?.name ?? null,
    functionTimeout: settings.functionTimeoutSeconds,
    dataDir: check.data_dir ?? spec.training.dataDir ?? null,
  });
  const made = only(await control(target, [{ op: 'launch', base: probe.base, launch: plan.launch, record }], launchAnswer, asked));
  if (made.state === 'taken') {
    throw new DriverError(
      'refused',
      'HF-GLOBUS-LAUNCH-TAKEN',
      `launch folder ${join(probe.base, plan.launch)} belongs to another campaign (${JSON.stringify(made.owner)}). Choose another working_dirs.launch_iteration_pattern.`,
    );
  }
  const facts: CampaignFacts = {
    ...(known ?? {
      attempts: {},
      acknowledged: [],
      uncollected: [],
      unfetched: [],
      groupId: group?.groupId ?? '',
      groupTasks: group ? [group.taskId] : [],
    }),
    version: 1,
    campaign: plan.campaign,
    launch: plan.launch,
    directory: made.directory,
    localDirectory,
    agent: agentFolder,
    python,
    endpointId: settings.endpointId,
    authMethod: settings.authMethod,
    functionTimeoutSeconds: record.limits.trial_seconds ?? settings.functionTimeoutSeconds,
    graceSeconds: spec.limits.graceSeconds,
    maxRetries: settings.maxRetries,
    liveMetrics: settings.liveMetrics ?? plan.reportSteps.length > 0,
    ...(hasConfig ? { userEndpointConfig } : {}),
    ...(capacity?.warning === undefined ? {} : { warning: capacity.warning }),
  };
  // Its closing was cut off, and it is taken up again (workflow reset).
  delete facts.closingSince;
  await store.save(facts);
  return {
    facts,
    prepared: {
      directory: made.directory,
      localDirectory,
      bundleSha256: bundle?.name ?? null,
      capacity: {
        pool: poolOf(facts),
        ...(capacity === undefined
          ? {}
          : { slotsPerPilot: capacity.workers, prefetch: options.prefetch ?? Math.max(1, Math.ceil(capacity.workers / 10)) }),
      },
      provenance: {
        endpoint: settings.endpointId,
        host: probe.host,
        python: check.python ?? probe.python,
        worker_python: probe.python,
        python_path: facts.python,
        ...(probe.endpoint_version == null ? {} : { endpoint_version: probe.endpoint_version }),
        agent: agent.name,
        function: await target.functionId(),
        task_group: facts.groupId,
        ...(check.data_dir === undefined ? {} : { data_dir: check.data_dir }),
      },
    },
  };
}

/** Each endpoint, identity and configuration has a process with batch jobs of its own. */
function poolOf({ endpointId, authMethod, userEndpointConfig }: CampaignFacts): string {
  const config = userEndpointConfig === undefined ? '' : createHash('sha256').update(JSON.stringify(userEndpointConfig)).digest('hex');
  return [endpointId, authMethod, config.slice(0, 8)].join(' ').trim();
}

function refuseBadFile(error: unknown): never {
  if (error instanceof BadSpec) throw new DriverError('refused', 'HF-GLOBUS-ENDPOINT-FILE', error.message, { cause: error });
  throw error;
}

function bundleFolder(options: GlobusDriverOptions, bundle: string): string {
  return isAbsolute(bundle) ? bundle : resolve(options.workingFolder ?? process.cwd(), bundle);
}

function only<T>(answers: readonly T[]): T {
  return answers[0] as T;
}

/** launch.json: function_timeout and limits.trial_seconds both bound a trial; the shorter one holds. */
function launchRecord(
  plan: LaunchPlan,
  facts: {
    readonly python: string;
    readonly env: Readonly<Record<string, string>>;
    readonly bundle: string | null;
    readonly functionTimeout: number;
    readonly dataDir: string | null;
  },
): LaunchRecord {
  const { spec } = plan;
  return {
    version: 1,
    campaign: plan.campaign,
    launch: plan.launch,
    system: spec.system.name,
    command: spec.training.command,
    env: facts.env,
    bundle: facts.bundle,
    data_dir: facts.dataDir,
    python: facts.python,
    slots_per_trial: 1,
    objectives: spec.objectives,
    metric_constraints: spec.metricConstraints ?? [],
    limits: {
      trial_seconds: Math.min(spec.limits.trialSeconds ?? Number.POSITIVE_INFINITY, facts.functionTimeout),
      hang_factor: spec.limits.hangFactor,
      hang_min_seconds: spec.limits.hangMinSeconds,
      grace_seconds: spec.limits.graceSeconds,
      log_bytes: spec.limits.logBytes,
    },
    job_pattern: spec.workingDirs.jobPattern,
    report_steps: plan.reportSteps,
    owner: plan.owner,
  };
}
