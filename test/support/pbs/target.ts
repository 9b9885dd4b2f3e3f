import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '../../../src/spec/load-profile.ts';
import { type PbsProfile, profileSchema } from '../../../src/spec/profile.ts';
import { openShell } from '../../../src/ssh/open-shell.ts';
import type { RemoteShell } from '../../../src/ssh/transport.ts';
import { createPbsDriver, type PbsDriver } from '../../../src/systems/pbs/driver.ts';
import { logIn } from '../ssh-suite.ts';
import { removeSshd, startSshd, whyNoSshd } from '../sshd.ts';
import { standInProfile, standInShell } from './campaign.ts';
import { PbsStandIn } from './standin.ts';

/** A PBS system that the conformance suite runs on. */
export interface Target {
  readonly title: string;
  readonly profile: PbsProfile;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly shell: RemoteShell;
  /** Folder on this computer for results. */
  readonly localBase: string;
  driver(): PbsDriver;
  /** Removes what the suite made, there and here. */
  close(): Promise<void>;
}

/** Name under which the tools and registrations of the suite lie in ~/.holdfast; removed at the end. */
const SYSTEM = 'holdfast-conformance';

/**
 * HOLDFAST_PBS_SYSTEM (a profile) or HOLDFAST_PBS_HOST (any PBS site) names a real system, reached over SSH; without either the stand-in is
 * used through a real sshd of its own. `npm run test:pbs -- --host … --queue …` sets them.
 */
export async function openTarget(env: NodeJS.ProcessEnv = process.env): Promise<Target> {
  return env.HOLDFAST_PBS_SYSTEM || env.HOLDFAST_PBS_HOST ? realTarget(env) : standInTarget();
}

function targetOf(title: string, profile: PbsProfile, shell: RemoteShell, settings: Target['settings'], end: () => Promise<void>): Target {
  const localBase = mkdtempSync(join(tmpdir(), 'holdfast-pbs-results-'));
  return {
    title,
    profile,
    settings,
    shell,
    localBase,
    driver: () => createPbsDriver({ name: SYSTEM, profile, shell, closeSeconds: 300 }),
    async close() {
      await shell.run({ script: 'rm -rf "$HOME/.holdfast/$1" "$HOME/$1"; rmdir "$HOME/.holdfast" 2>/dev/null; true', args: [SYSTEM] });
      rmSync(localBase, { recursive: true, force: true, maxRetries: 5 });
      await end();
    },
  };
}

async function realTarget(env: NodeJS.ProcessEnv): Promise<Target> {
  const queue = env.HOLDFAST_PBS_QUEUE;
  const profile = env.HOLDFAST_PBS_SYSTEM ? loadProfile(env.HOLDFAST_PBS_SYSTEM) : anySite(env);
  if (profile.kind !== 'pbs') throw new Error(`${env.HOLDFAST_PBS_SYSTEM} is no PBS system.`);
  const settings = {
    walltime: 600,
    nodes: 1,
    ...(queue ? { queue } : {}),
    ...(env.HOLDFAST_PBS_ACCOUNT ? { account: env.HOLDFAST_PBS_ACCOUNT } : {}),
    ...(env.HOLDFAST_PBS_FILESYSTEMS ? { filesystems: env.HOLDFAST_PBS_FILESYSTEMS.split(':') } : {}),
  };
  const { shell } = openShell(profile.name, profile.ssh);
  const state = await shell.check();
  if (state.kind !== 'ready') throw new Error(`${profile.ssh.host}: ${state.why}`);
  return targetOf(`${profile.ssh.host}, queue ${queue ?? profile.defaultQueue}`, { ...profile, base: `~/${SYSTEM}` }, shell, settings, () =>
    shell.close(),
  );
}

/** A site without a profile: what the command line says, and the defaults of PBS. */
function anySite(env: NodeJS.ProcessEnv) {
  const queue = env.HOLDFAST_PBS_QUEUE ?? 'workq';
  return profileSchema.parse({
    version: 1,
    name: 'site',
    kind: 'pbs',
    as_of: new Date().toISOString().slice(0, 10),
    source: 'command line',
    ssh: {
      host: env.HOLDFAST_PBS_HOST,
      transport: env.HOLDFAST_PBS_TRANSPORT ?? 'openssh',
      ...(env.HOLDFAST_PBS_USER ? { user: env.HOLDFAST_PBS_USER } : {}),
    },
    slots: { per_node: 2 },
    default_queue: queue,
    queues: [{ name: queue, nodes: { min: 1, max: 100_000 }, walltime: { max: '1000h' } }],
    account_required: false,
  });
}

async function standInTarget(): Promise<Target> {
  const pbs = await PbsStandIn.start();
  const profile = { ...standInProfile(), base: `~/${SYSTEM}` };
  const settings = { account: 'hpo_proj', walltime: 600, nodes: 1 };
  const why = whyNoSshd();
  // Without an sshd (a developer's computer) the same commands run in a local shell.
  if (why !== undefined) return targetOf('the stand-in', profile, standInShell(pbs), settings, () => pbs.close());
  const sshd = await startSshd({ sessionEnv: pbs.env });
  const { shell, end } = await logIn(sshd, 'ssh2', { system: SYSTEM });
  return targetOf('the stand-in over a real sshd', profile, shell, settings, async () => {
    await end();
    await removeSshd(sshd);
    await pbs.close();
  });
}
