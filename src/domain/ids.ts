/** Names of things: deterministic, speaking, and safe in file names, workflow ids and PBS job names. */

/** Trial 7 → `trial-0007`; wider numbers keep all digits. */
export function trialName(number: number): string {
  return `trial-${String(number).padStart(4, '0')}`;
}

/** `trial-0007` → 7; throws on anything else. */
export function trialNumber(name: string): number {
  const match = /^trial-(\d{4,})$/.exec(name);
  if (!match) throw new RangeError(`${name} is no trial name (trial-0001)`);
  return Number(match[1]);
}

/** Workflow id of a trial: `<campaign>/trial-0007`. */
export function trialWorkflowId(campaign: string, number: number): string {
  return `${campaign}/${trialName(number)}`;
}

/** Workflow id of a system: `system/<name>`. */
export function systemWorkflowId(system: string): string {
  return `system/${system}`;
}

/** Task queue of workflows and host-independent activities. */
export const TASK_QUEUE = 'holdfast';

/** Task queue of one system's side effects; polled only by the worker that holds that system's connection. */
export function systemTaskQueue(system: string): string {
  return `holdfast-system-${system}`;
}

/** Name of one attempt in the spool: `trial-0007.1` (files add `.json`). */
export function attemptName(number: number, attempt: number): string {
  return `${trialName(number)}.${attempt}`;
}

/** `trial-0007.1` → {number: 7, attempt: 1}; undefined for anything else. */
export function parseAttemptName(name: string): { number: number; attempt: number } | undefined {
  const match = /^trial-(\d{4,})\.([1-9]\d*)$/.exec(name);
  return match ? { number: Number(match[1]), attempt: Number(match[2]) } : undefined;
}

/** Folder of one attempt, relative to the launch folder. `jobFolder` is the rendered working_dirs.job_pattern. */
export function attemptDirectory(jobFolder: string, attempt: number): string {
  return `trials/${jobFolder}/attempt-${attempt}`;
}

/**
 * Name of a launch folder from working_dirs.launch_iteration_pattern, decided once by the workflow.
 * {timestamp} is the campaign's start in UTC (20261123-051500), {experiment_id} and {campaign} its id with file-safe characters.
 */
export function launchName(pattern: string, campaign: string, startedAt: number): string {
  const timestamp = new Date(startedAt).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  const id = campaign.replace(/[^A-Za-z0-9._-]+/g, '-');
  return pattern.replaceAll('{timestamp}', timestamp).replaceAll('{experiment_id}', id).replaceAll('{campaign}', id);
}
