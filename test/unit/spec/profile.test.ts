import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { BadSpec } from '../../../src/spec/bad-spec.ts';
import { checkRequest, queueRow } from '../../../src/spec/check-request.ts';
import { loadProfile, profileFolders, profileNames } from '../../../src/spec/load-profile.ts';
import { pbsSettingsSchema } from '../../../src/spec/pbs-settings.ts';
import { problemText } from '../../../src/spec/problem.ts';
import { type PbsProfile, slotResources } from '../../../src/spec/profile.ts';

function pbs(name: string): PbsProfile {
  const profile = loadProfile(name, { env: {} });
  if (profile.kind !== 'pbs') throw new Error(`${name} is of kind ${profile.kind}`);
  return profile;
}

function folderWith(name: string, text: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-profile-'));
  writeFileSync(path.join(folder, `${name}.yaml`), text);
  return folder;
}

describe('the profiles that ship', () => {
  const files = readdirSync('config/systems').map((file) => file.replace(/\.yaml$/, ''));

  it.each(files)('%s is read without a problem, is dated and names its sources', (name) => {
    const profile = loadProfile(name, { env: {} });
    expect(profile.asOf).toMatch(/^\d{4}-\d{2}-\d{2}$/);
    expect(profile.source.length).toBeGreaterThan(0);
  });

  it('are found in the working folder first, then in the package', () => {
    expect(profileNames(profileFolders('/nowhere'))).toEqual(
      expect.arrayContaining(['aurora', 'crux', 'generic-pbs', 'globus-compute', 'local', 'polaris']),
    );
    const own = folderWith('local', 'version: 1\nname: local\nkind: local\nas_of: 2026-01-01\nsource: me\nslots: 3\n');
    expect(loadProfile('local', { folders: [own, ...profileFolders('/nowhere')] })).toMatchObject({ slots: 3, source: ['me'] });
  });

  it('aurora has the queue table of its source', () => {
    const aurora = pbs('aurora');
    expect(aurora.queues.map(queueRow)).toEqual([
      'queue debug takes 1-2 nodes for 5 min to 1 h, 1 job queued or running per user',
      'queue debug-scaling takes 2-256 nodes for 5 min to 1 h, 1 job queued or running per user',
      'queue capacity takes 1-16 nodes for 5 min to 7 d, 5 jobs queued or running per user, 2 running',
      'queue prod takes 256-10624 nodes for 5 min to 24 h',
      'queue visualization takes 1-32 nodes for at most 8 h',
    ]);
    expect(
      aurora.queues
        .find((queue) => queue.name === 'prod')
        ?.routes?.map((route) => [route.name, route.nodes.min, route.walltime.max / 3600]),
    ).toEqual([
      ['small', 256, 12],
      ['medium', 1025, 18],
      ['large', 2000, 24],
    ]);
  });

  it('aurora gives each of 12 slots its own tile and its own cores, none of them reserved', () => {
    const slots = slotResources(pbs('aurora').slots);
    expect(slots.map((slot) => slot.env.ZE_AFFINITY_MASK)).toEqual(Array.from({ length: 12 }, (_, tile) => String(tile)));
    const cores = slots.flatMap((slot) => {
      const [from, to] = (slot.cpus ?? '').split('-').map(Number) as [number, number];
      return Array.from({ length: to - from + 1 }, (_, index) => from + index);
    });
    expect(new Set(cores).size).toBe(96);
    expect(cores).not.toContain(0);
    expect(cores).not.toContain(52);
  });

  it('polaris gives each of 4 slots its own GPU; a profile of one’s own lets two trials share each', () => {
    expect(slotResources(pbs('polaris').slots).map((slot) => slot.env.CUDA_VISIBLE_DEVICES)).toEqual(['0', '1', '2', '3']);
    const shared = slotResources({ perNode: 8, perDevice: 2, env: { CUDA_VISIBLE_DEVICES: '{device}', NAME: 'slot {slot}' } });
    expect(shared.map((slot) => slot.env.CUDA_VISIBLE_DEVICES)).toEqual(['0', '0', '1', '1', '2', '2', '3', '3']);
    expect(shared[5]?.env.NAME).toBe('slot 5');
  });

  it('hold no account, no user and no personal path', () => {
    for (const name of files)
      expect(readFileSync(`config/systems/${name}.yaml`, 'utf8')).not.toMatch(/\/(home|Users|projects)\/[a-z]|^\s*user:/m);
  });
});

const LOCAL = 'version: 1\nname: mine\nkind: local\nas_of: 2026-01-01\nsource: me\n';
const PBS = `${LOCAL.replace('kind: local', 'kind: pbs')}ssh: {host: c}\nslots: {per_node: 2}\ndefault_queue: q\nqueues: [{name: q, nodes: {max: 4}, walltime: {max: 1h}}]\n`;

describe('a profile that extends another', () => {
  const mine = (text: string) => [folderWith('mine', text), 'config/systems'];

  it('takes over everything but what it says itself, key by key', () => {
    const profile = loadProfile('mine', {
      folders: mine(
        'extends: aurora\nname: mine\nas_of: 2026-11-01\nsource: me\nssh: {user: someone}\ndefault_queue: capacity\nsetup: [module load mine]\n',
      ),
      env: {},
    });
    if (profile.kind !== 'pbs') throw new Error('not pbs');
    expect(profile.ssh).toMatchObject({ host: 'aurora.alcf.anl.gov', user: 'someone', transport: 'openssh' });
    expect([profile.defaultQueue, profile.setup, profile.source]).toEqual(['capacity', ['module load mine'], ['me']]);
    expect(profile.queues).toEqual(pbs('aurora').queues);
  });

  it('lets trials share a GPU as docs/campaign-file.md shows it', () => {
    const [, snippet = ''] =
      /```yaml\n# config\/systems\/polaris-two\.yaml\n([\s\S]*?)```/.exec(readFileSync('docs/campaign-file.md', 'utf8')) ?? [];
    const profile = loadProfile('polaris-two', { folders: [folderWith('polaris-two', snippet), 'config/systems'], env: {} });
    if (profile.kind !== 'pbs') throw new Error('not pbs');
    const slots = slotResources(profile.slots);
    expect(slots.map((slot) => slot.env.CUDA_VISIBLE_DEVICES)).toEqual(['0', '0', '1', '1', '2', '2', '3', '3']);
    expect(new Set(slots.map((slot) => slot.cpus)).size).toBe(8);
  });

  it('may have the name of the one that ships', () => {
    const folder = folderWith('aurora', 'extends: aurora\nssh: {user: someone}\n');
    expect(loadProfile('aurora', { folders: [folder, 'config/systems'], env: {} })).toMatchObject({
      name: 'aurora',
      ssh: { user: 'someone' },
    });
  });

  it.each([
    ['an unknown one', 'extends: auroro\nname: mine\n', 'extends: there is no profile "auroro" (mine.yaml:1:10). Did you mean "aurora"?'],
    ['itself', 'extends: mine\nname: mine\n', 'extends: there is no profile "mine" (mine.yaml:1:10).'],
    [
      'a wrong value of its own',
      'extends: aurora\nname: mine\npoll_seconds: often\n',
      'poll_seconds: is "often", but must be a number (mine.yaml:3:15).',
    ],
    [
      'a wrong key of its own',
      'extends: aurora\nname: mine\nssh: {usr: x}\n',
      'ssh.usr: is not a key here (mine.yaml:3:7). Did you mean "user"?',
    ],
  ])('is told at its own line: %s', (_, text, told) => {
    const folders = mine(text);
    expect(() => loadProfile('mine', { folders, env: {} })).toThrow(BadSpec);
    try {
      loadProfile('mine', { folders, env: {} });
    } catch (error) {
      expect((error as BadSpec).problems.map(problemText).join('\n').replaceAll(`${folders[0]}/`, '')).toContain(told);
    }
  });

  it('never goes round in a circle', () => {
    const folder = folderWith('a', 'extends: b\n');
    writeFileSync(path.join(folder, 'b.yaml'), 'extends: a\n');
    expect(() => loadProfile('a', { folders: [folder], env: {} })).toThrow('goes round in a circle');
  });
});

describe('a wrong profile', () => {
  it.each([
    [
      'an unknown kind',
      LOCAL.replace('local', 'slurm'),
      'kind: is "slurm", but must be one of local, pbs, globus_compute (mine.yaml:3:7).',
    ],
    ['an unknown key', `${LOCAL}slot: 3\n`, 'slot: is not a key here (mine.yaml:6:1). Did you mean "slots"?'],
    [
      'another name',
      LOCAL.replace('mine', 'yours'),
      'name: is "yours", but the file is mine.yaml (mine.yaml:2:7). Give both the same name.',
    ],
    ['a date that is none', LOCAL.replace('2026-01-01', 'spring'), 'as_of: is "spring": must be a day like 2026-08-19 (mine.yaml:4:8).'],
    [
      'an unknown default queue',
      PBS.replace('default_queue: q', 'default_queue: p'),
      'default_queue: is "p", which is not among the queues (mine.yaml:8:16). Did you mean "q"?',
    ],
    [
      'a queue with min above max',
      PBS.replace('{max: 4}', '{min: 5, max: 4}'),
      'queues[0].nodes: min 5 is above max 4 (mine.yaml:9:20). Swap them?',
    ],
    [
      'too few CPU lists',
      PBS.replace('per_node: 2', 'per_node: 2, cpus: ["0-3"]'),
      'slots.cpus: has 1 lists for 2 slots (mine.yaml:7:22). Give one list per slot.',
    ],
    [
      'shared devices that no variable names',
      PBS.replace('per_node: 2', 'per_node: 2, per_device: 2'),
      'slots.per_device: has no effect: no variable of slots.env has {device} (mine.yaml:7:34). Name the device, for example {CUDA_VISIBLE_DEVICES: "{device}"} in slots.env.',
    ],
    [
      'an unknown way to connect',
      PBS.replace('host: c', 'host: c, transport: telnet'),
      'ssh.transport: is "telnet", but must be one of openssh, ssh2, none (mine.yaml:6:27).',
    ],
    [
      'an unknown key of the connection',
      PBS.replace('host: c', 'host: c, usr: me'),
      'ssh.usr: is not a key here (mine.yaml:6:16). Did you mean "user"?',
    ],
    [
      'a variable that is not set',
      PBS.replace('host: c', 'host: "$' + '{MY_HOST}"'),
      'ssh.host: the environment variable MY_HOST is not set (mine.yaml:6:13). Set it (export MY_HOST=…) where the worker runs, or write the value.',
    ],
  ])('%s is told with its place', (_, text, told) => {
    const folder = folderWith('mine', text);
    try {
      loadProfile('mine', { folders: [folder], env: {} });
    } catch (error) {
      if (!(error instanceof BadSpec)) throw error;
      expect(error.problems.map(problemText).map((line) => line.replaceAll(`${folder}/`, ''))).toContain(told);
      return;
    }
    throw new Error('was read');
  });

  it("that a campaign names is told at the campaign's own line", () => {
    expect(() => loadProfile('auroro', { env: {} })).toThrow(/there is no system "auroro".*Did you mean "aurora"\?/);
  });
});

describe('checkRequest', () => {
  const ask = (profile: string, settings: Record<string, unknown>) =>
    checkRequest(pbs(profile), pbsSettingsSchema.parse({ account: 'P', ...settings })).map((problem) => problem.what);

  it.each([
    ['aurora', {}, []],
    ['aurora', { queue: 'capacity', nodes: 16, walltime: '168h', max_pilots: 5 }, []],
    ['aurora', { queue: 'prod', nodes: 256, walltime: '12h' }, []],
    ['aurora', { queue: 'prod' }, []],
    [
      'aurora',
      { queue: 'prod', nodes: 256, walltime: '13h' },
      ['13 h asked for, but with 256 nodes prod routes it on, and queue small takes 256-1024 nodes for 5 min to 12 h'],
    ],
    ['aurora', { queue: 'prod', nodes: 12 }, ['12 nodes asked for, but queue prod takes 256-10624 nodes for 5 min to 24 h']],
    ['aurora', { walltime: '2m' }, ['2 min asked for, but queue debug takes 1-2 nodes for 5 min to 1 h, 1 job queued or running per user']],
    ['aurora', { slots_per_node: 13 }, ['is 13, but a node of aurora has 12 slots']],
    ['polaris', { queue: 'prod', nodes: 30, walltime: '6h' }, []],
    ['crux', { filesystems: ['flare'] }, ['"flare" is no file system of crux']],
    ['generic-pbs', { filesystems: ['anything'] }, []],
  ] as const)('%s %j: %j', (profile, settings, expected) => {
    expect(ask(profile, settings)).toEqual(expected);
  });

  it('names a queue that would take the request', () => {
    const [problem] = checkRequest(pbs('aurora'), pbsSettingsSchema.parse({ account: 'P', queue: 'debug', nodes: 8, walltime: '6h' }));
    expect(problem?.next).toBe('It would fit capacity.');
  });
});
