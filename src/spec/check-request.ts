import { formatDuration } from './durations.ts';
import type { PbsSettings } from './pbs-settings.ts';
import { type Problem, suggest } from './problem.ts';
import type { PbsProfile, PbsQueue } from './profile.ts';

type Shape = Pick<PbsQueue, 'name' | 'nodes' | 'walltime'>;

/**
 * What the site would refuse, found before any login (a routing queue may take such a job and lose it without a word). Each problem names the queue's
 * row. Paths begin at `system`, where a campaign file has these settings.
 */
export function checkRequest(profile: PbsProfile, settings: PbsSettings): Problem[] {
  const problems: Problem[] = [];
  const say = (key: string, what: string, next?: string) =>
    problems.push({ path: ['system', key], what, ...(next === undefined ? {} : { next }) });
  const names = profile.queues.map((queue) => queue.name);
  if (profile.accountRequired && settings.account === undefined) {
    problems.push({
      path: ['system'],
      what: `${profile.name} needs an account (the allocation that pays)`,
      next: `Write system: {name: ${profile.name}, account: …}.`,
    });
  }
  const { slotsPerNode } = settings;
  if (slotsPerNode !== undefined && slotsPerNode > profile.slots.perNode)
    say('slots_per_node', `is ${slotsPerNode}, but a node of ${profile.name} has ${profile.slots.perNode} slots`);
  const known = profile.filesystems?.known ?? [];
  settings.filesystems?.forEach((name) => {
    if (known.length > 0 && !known.includes(name))
      say('filesystems', `"${name}" is no file system of ${profile.name}`, suggest(name, known));
  });
  if (profile.filesystems?.required === true && (settings.filesystems ?? profile.filesystems.default).length === 0) {
    say('filesystems', `is empty, but ${profile.name} refuses jobs that name no file system`, `Known: ${known.join(', ')}.`);
  }
  const queueName = settings.queue ?? profile.defaultQueue;
  const queue = profile.queues.find((each) => each.name === queueName);
  if (queue === undefined) {
    const behind = profile.queues.find((each) => each.routes?.some((route) => route.name === queueName));
    say(
      'queue',
      behind ? `"${queueName}" takes jobs only through the queue ${behind.name}` : `"${queueName}" is no queue of ${profile.name}`,
      behind ? `Write queue: ${behind.name}.` : suggest(queueName, names),
    );
    return problems;
  }
  problems.push(...checkShape(profile, queue, settings));
  const most = Math.min(
    queue.perUser?.queued ?? Number.POSITIVE_INFINITY,
    queue.perProject?.queued ?? Number.POSITIVE_INFINITY,
    profile.projectLimits?.queued ?? Number.POSITIVE_INFINITY,
  );
  if (settings.maxPilots !== undefined && settings.maxPilots > most)
    say('max_pilots', `is ${settings.maxPilots}, but ${queueRow(queue)}`, `At most ${most}.`);
  return problems;
}

function checkShape(profile: PbsProfile, queue: PbsQueue, settings: PbsSettings): Problem[] {
  const problems: Problem[] = [];
  const nodes = settings.nodes ?? queue.nodes.min ?? 1;
  const walltime = settings.walltime;
  if (nodes > queue.nodes.max || nodes < (queue.nodes.min ?? 1)) {
    problems.push({
      path: ['system', 'nodes'],
      what: `${count(nodes, queue)} asked for, but ${queueRow(queue)}`,
      next: otherQueue(profile, nodes, walltime),
    });
  }
  if (walltime !== undefined && (walltime > queue.walltime.max || walltime < (queue.walltime.min ?? 0))) {
    problems.push({
      path: ['system', 'walltime'],
      what: `${formatDuration(walltime)} asked for, but ${queueRow(queue)}`,
      next: otherQueue(profile, nodes, walltime),
    });
  }
  if (problems.length > 0 || queue.routes === undefined || walltime === undefined) return problems;
  if (queue.routes.some((route) => fits(route, nodes, walltime))) return problems;
  const bySize = queue.routes.find((route) => nodes >= (route.nodes.min ?? 1) && nodes <= route.nodes.max);
  const what = bySize
    ? `${formatDuration(walltime)} asked for, but with ${nodes} nodes ${queue.name} routes it on, and ${queueRow(bySize)}`
    : `${nodes} nodes for ${formatDuration(walltime)} fit none of the queues behind ${queue.name}`;
  return [{ path: ['system', 'walltime'], what, next: 'The site would take the job and lose it: ask for what fits.' }];
}

function fits(shape: Shape, nodes: number, walltime: number): boolean {
  return (
    nodes >= (shape.nodes.min ?? 1) && nodes <= shape.nodes.max && walltime <= shape.walltime.max && walltime >= (shape.walltime.min ?? 0)
  );
}

function count(nodes: number, queue: PbsQueue): string {
  return `${nodes} ${queue.unit}${nodes === 1 ? '' : 's'}`;
}

function otherQueue(profile: PbsProfile, nodes: number, walltime: number | undefined): string {
  const others = profile.queues
    .filter((queue) => !queue.byRequest && fits(queue, nodes, walltime ?? queue.walltime.max))
    .map((queue) => queue.name);
  return others.length === 0 ? `No queue of ${profile.name} takes this.` : `It would fit ${others.join(', ')}.`;
}

/** `queue debug takes 1-2 nodes for 5 min to 1 h, 1 job queued or running per user`. */
export function queueRow(queue: Shape & Partial<Pick<PbsQueue, 'perUser' | 'unit'>>): string {
  const { nodes, walltime } = queue;
  const size = nodes.min === nodes.max ? `${nodes.max}` : `${nodes.min ?? 1}-${nodes.max}`;
  const time =
    walltime.min === undefined
      ? `at most ${formatDuration(walltime.max)}`
      : `${formatDuration(walltime.min)} to ${formatDuration(walltime.max)}`;
  const queued = queue.perUser?.queued;
  const running = queue.perUser?.running;
  const limits = [
    queued === undefined ? undefined : `${queued} job${queued === 1 ? '' : 's'} queued or running per user`,
    running === undefined || running === queued ? undefined : `${running} running`,
  ];
  return [`queue ${queue.name} takes ${size} ${queue.unit ?? 'node'}s for ${time}`, ...limits.filter((limit) => limit !== undefined)].join(
    ', ',
  );
}
