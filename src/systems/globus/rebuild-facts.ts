import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { DriverError, type LaunchMemory } from '../driver.ts';
import type { CampaignFacts } from './campaign-facts.ts';
import type { GlobusConnection } from './connection.ts';
import { type TaskTarget, taskEnd } from './control-tasks.ts';
import { campaignSettings, type DriverTimes, type GlobusDriverOptions } from './options.ts';
import { sleep } from './request-budget.ts';

/**
 * The facts of a campaign whose file is gone (another computer, a cleared state folder), from its history and the list of its task group. What the service
 * still has pending may carry any attempt that was in flight, as after an answer that was lost; what it has ended lies on the endpoint's file system.
 * So nothing is sent again before both were asked.
 */
export async function rebuildFacts(
  memory: LaunchMemory,
  options: GlobusDriverOptions,
  times: DriverTimes,
  connection: GlobusConnection,
): Promise<CampaignFacts> {
  const { spec, provenance } = memory;
  const settings = campaignSettings(spec.system.settings);
  const userEndpointConfig = { ...options.userEndpointConfig, ...settings.userEndpointConfig };
  const hasConfig = Object.keys(userEndpointConfig).length > 0;
  const target = connection.target(settings.endpointId, settings.authMethod, hasConfig ? userEndpointConfig : undefined);
  const base = memory.directory.endsWith(`/${memory.launch}`)
    ? memory.directory.slice(0, -memory.launch.length - 1)
    : dirname(memory.directory);
  const group = await groupOf(target, provenance.task_group, times.settle);
  return {
    version: 1,
    campaign: memory.campaign,
    launch: memory.launch,
    directory: memory.directory,
    localDirectory: memory.localDirectory,
    agent: join(base, 'staged', provenance.agent ?? ''),
    python: options.python ?? 'python3',
    endpointId: settings.endpointId,
    authMethod: settings.authMethod,
    ...(hasConfig ? { userEndpointConfig } : {}),
    functionTimeoutSeconds: Math.min(spec.limits.trialSeconds ?? Number.POSITIVE_INFINITY, settings.functionTimeoutSeconds),
    graceSeconds: spec.limits.graceSeconds,
    maxRetries: settings.maxRetries,
    liveMetrics: settings.liveMetrics ?? spec.pruner !== undefined,
    groupId: group.id,
    groupTasks: group.tasks,
    attempts: {},
    acknowledged: [],
    uncollected: [],
    unfetched: [],
    rebuilding: { uncertain: [...memory.attempts], strays: group.strays, isRecalling: true },
  };
}

/** The campaign's group with all its tasks, and those that have not ended. A group that the service has forgotten holds nothing. */
async function groupOf(
  target: TaskTarget,
  id: string | undefined,
  settleSeconds: number,
): Promise<{ id: string; tasks: string[]; strays: string[] }> {
  try {
    if (id !== undefined) {
      await target.client.group(id);
      // A submission of the worker that is gone may still be on its way.
      await sleep(settleSeconds * 1000);
      const tasks = (await target.client.group(id)).map((task) => task.id);
      const states = await target.client.tasks(tasks);
      return { id, tasks, strays: tasks.filter((task) => taskEnd(states.get(task)) === undefined) };
    }
  } catch (error) {
    if (!(error instanceof DriverError) || error.code !== 'HF-GLOBUS-GROUP-NOT-FOUND') throw error;
  }
  // The first submission to it opens another one.
  return { id: id ?? randomUUID(), tasks: [], strays: [] };
}
