import { queueRow } from '../spec/check-request.ts';
import { loadProfile, profileFolders, profileNames } from '../spec/load-profile.ts';
import type { PbsProfile, SystemProfile } from '../spec/profile.ts';
import { compareQueues } from '../systems/pbs/compare-queues.ts';
import { openPbsDriver } from '../systems/pbs/open-driver.ts';
import { readPbsText } from '../systems/pbs/qstat-text.ts';
import { type LiveQueue, readQueues } from '../systems/pbs/queues.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';

/** `holdfast systems`: the profiles that there are. */
export async function listSystems(options: CommonOptions, io: CliIo): Promise<Exit> {
  const profiles = profileNames(profileFolders(process.cwd())).map((name) => loadProfile(name, { env: io.env }));
  const width = Math.max(...profiles.map((profile) => profile.name.length));
  const text = profiles
    .map((profile) => `${profile.name.padEnd(width)}  ${profile.kind.padEnd(14)}  ${profile.title ?? ''} (as of ${profile.asOf})`)
    .join('\n');
  print(
    io,
    options,
    profiles.map(({ name, kind, title, asOf }) => ({ name, kind, title, asOf })),
    text,
  );
  return 'ok';
}

/** `holdfast systems show NAME`: queues, limits, slots and directives of a profile. No login. */
export async function showSystem(name: string, options: CommonOptions, io: CliIo): Promise<Exit> {
  const profile = loadProfile(name, { env: io.env });
  print(io, options, profile, describe(profile));
  return 'ok';
}

function describe(profile: SystemProfile): string {
  const head = [
    `${profile.title ?? profile.name} (${profile.kind}), as of ${profile.asOf}`,
    ...profile.source.map((source) => `  from ${source}`),
  ];
  if (profile.kind !== 'pbs') return [...head, ...profile.notes.map((note) => `note: ${note}`)].join('\n');
  return [
    ...head,
    `login: ${profile.ssh.host} (${profile.ssh.transport})`,
    `slots: ${profile.slots.perNode} per node${Object.keys(profile.slots.env).length === 0 ? '' : `, ${Object.keys(profile.slots.env).join(', ')}`}`,
    ...profile.queues.map(
      (queue) => `${queueRow(queue)}${queue.name === profile.defaultQueue ? ' (default)' : ''}${queue.byRequest ? ' (by request)' : ''}`,
    ),
    ...profile.notes.map((note) => `note: ${note}`),
  ].join('\n');
}

/** `holdfast systems diff NAME`: the profile beside `qstat -Qf` of the site, now. Needs a login. Exit 1 when they differ. */
export async function diffSystem(name: string, options: CommonOptions, io: CliIo): Promise<Exit> {
  const profile = pbsProfile(name, io);
  const queues = await liveQueues(profile, io);
  const differences = compareQueues(profile, queues);
  const lines = differences.map(({ queue, what, profile: ours, site }) => `${queue}: ${what}: profile ${ours}, site ${site}`);
  print(
    io,
    options,
    { system: name, asOf: profile.asOf, differences },
    lines.length === 0 ? `${name}: the profile of ${profile.asOf} is what the site says now.` : lines.join('\n'),
  );
  return differences.length === 0 ? 'ok' : 'failed';
}

function pbsProfile(name: string, io: CliIo): PbsProfile {
  const profile = loadProfile(name, { env: io.env });
  if (profile.kind !== 'pbs')
    throw new CliError('usage', 'HF-USAGE', `system ${name} is of kind ${profile.kind} and has no queues. Name a PBS system.`);
  return profile;
}

async function liveQueues(profile: PbsProfile, io: CliIo): Promise<readonly LiveQueue[]> {
  const { driver, shell } = openPbsDriver(profile, { ...process.env, ...io.env });
  try {
    const { queues } = await driver.inspect();
    const listing = readPbsText(queues.stdout, 'queue');
    if (queues.exit !== 0 || !listing.isComplete) {
      throw new CliError(
        'unreachable',
        'HF-PBS-DOWN',
        `qstat -Qf of ${profile.name} failed (exit ${queues.exit}: ${queues.stderr.trim().slice(0, 200)}). Try again later.`,
      );
    }
    return readQueues(listing);
  } finally {
    await shell.close();
  }
}
