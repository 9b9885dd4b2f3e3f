import { type Problem, suggest } from './problem.ts';
import type { PbsProfile, SystemProfile } from './profile.ts';

/** What the schema alone cannot see in a profile. */
export function checkProfile(profile: SystemProfile, fileStem: string): Problem[] {
  const problems: Problem[] = [];
  if (profile.name !== fileStem)
    problems.push({ path: ['name'], what: `is "${profile.name}", but the file is ${fileStem}.yaml`, next: 'Give both the same name.' });
  if (profile.kind === 'pbs') problems.push(...checkPbs(profile));
  return problems;
}

function checkPbs(profile: PbsProfile): Problem[] {
  const problems: Problem[] = [];
  const names = profile.queues.map((queue) => queue.name);
  if (!names.includes(profile.defaultQueue)) {
    problems.push({
      path: ['default_queue'],
      what: `is "${profile.defaultQueue}", which is not among the queues`,
      next: suggest(profile.defaultQueue, names),
    });
  }
  profile.queues.forEach((queue, index) => {
    if (names.indexOf(queue.name) !== index)
      problems.push({ path: ['queues', index, 'name'], what: `"${queue.name}" stands here a second time` });
    for (const [at, range] of [
      ['nodes', queue.nodes],
      ['walltime', queue.walltime],
    ] as const) {
      if (range.min !== undefined && range.min > range.max)
        problems.push({ path: ['queues', index, at], what: `min ${range.min} is above max ${range.max}`, next: 'Swap them?' });
    }
  });
  profile.maintenance?.windows.forEach(({ from, until }, index) => {
    if (from >= until)
      problems.push({ path: ['maintenance', 'windows', index], what: 'ends before it begins', next: 'Swap from and until?' });
  });
  const { cpus, perNode, perDevice, env } = profile.slots;
  if (perDevice !== undefined && !Object.values(env).some((value) => value.includes('{device}'))) {
    const next = 'Name the device, for example {CUDA_VISIBLE_DEVICES: "{device}"} in slots.env.';
    problems.push({ path: ['slots', 'per_device'], what: 'has no effect: no variable of slots.env has {device}', next });
  }
  if (cpus !== undefined && cpus.length !== perNode) {
    problems.push({ path: ['slots', 'cpus'], what: `has ${cpus.length} lists for ${perNode} slots`, next: 'Give one list per slot.' });
  }
  const known = profile.filesystems?.known ?? [];
  profile.filesystems?.default.forEach((name, index) => {
    if (!known.includes(name))
      problems.push({ path: ['filesystems', 'default', index], what: `"${name}" is not among the known ones`, next: suggest(name, known) });
  });
  return problems;
}
