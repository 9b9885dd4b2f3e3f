import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { localCarrier } from '../../src/ssh/local-carrier.ts';
import { makeRemoteShell } from '../../src/ssh/shell.ts';
import type { RemoteShell } from '../../src/ssh/transport.ts';
import { createPbsDriver } from '../../src/systems/pbs/driver.ts';
import type { CampaignResult } from '../../workflows/messages.ts';
import { trialsQuery } from '../../workflows/messages.ts';
import { type Engine, eventually, startEngine } from '../support/engine.ts';
import { planOf, QUICK, STAND_IN_SITE, standInProfile } from '../support/pbs/campaign.ts';
import { PbsStandIn } from '../support/pbs/standin.ts';

/** Python imports this before anything else: its wall clock is off by so many seconds, its monotonic one is not. */
const SHIFTED_CLOCK = `import os, time
right = time.time
time.time = lambda: right() + float(os.environ.get("CLOCK_SHIFT", "0"))
`;

/** Seconds that the clock of the first pilot's node, and of every later one's, is ahead; and of the login node. */
const SHIFTS = { first: 3_900, later: -3_900, login: -660 } as const;

describe('a campaign on PBS whose login node and compute nodes tell other times than this computer', () => {
  let engine: Engine;
  let pbs: PbsStandIn;
  let bundle: string;
  let shell: RemoteShell;
  const at = (name: string) => path.join(pbs.home, name);
  const linesOf = (name: string) => (existsSync(at(name)) ? readFileSync(at(name), 'utf8').trim().split('\n') : []);

  beforeAll(async () => {
    [engine, pbs] = await Promise.all([startEngine(), PbsStandIn.start()]);
    const clocks = path.join(pbs.directory, 'clocks');
    mkdirSync(clocks);
    writeFileSync(path.join(clocks, 'sitecustomize.py'), SHIFTED_CLOCK);
    const setup = [
      ...STAND_IN_SITE.setup,
      `export PYTHONPATH='${clocks}'`,
      `if mkdir "$HOME/was-first"; then export CLOCK_SHIFT=${SHIFTS.first} TZ=Asia/Kolkata; else export CLOCK_SHIFT=${SHIFTS.later} TZ=America/Chicago; fi`,
      `python3 -c 'import time; print(time.time())' >>"$HOME/node-clocks"`,
    ];
    writeFileSync(path.join(pbs.directory, 'standin.yaml'), stringify({ ...STAND_IN_SITE, setup }));
    bundle = planOf(pbs).spec.training.bundle ?? '';
    // What runs on the login node asks for an isolated Python, which imports nothing of the user's: this one does.
    const [python = ''] = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).stdout.split('\n');
    const isolated = `#!/bin/sh\n[ "$1" != -I ] || shift\nexport PYTHONPATH='${clocks}' CLOCK_SHIFT=${SHIFTS.login}\nexec '${python}' "$@"\n`;
    const bin = path.join(pbs.directory, 'login-bin');
    mkdirSync(bin);
    writeFileSync(path.join(bin, 'python3'), isolated, { mode: 0o755 });
    shell = makeRemoteShell(localCarrier({ env: { ...pbs.env, PATH: `${bin}:${pbs.env.PATH}`, TZ: 'Australia/Lord_Howe' } }));
    await engine.startWorker({ standin: createPbsDriver({ name: 'standin', profile: standInProfile({ setup }), shell, timing: QUICK }) });
  });
  afterAll(async () => {
    await engine?.close();
    await pbs?.close();
  });

  it('runs each training once, over a killed pilot whose successor is two hours behind it, and tells right durations', {
    timeout: 300_000,
  }, async () => {
    const begun = Date.now();
    const source = {
      version: 1,
      name: 'clocks',
      system: { name: path.join(pbs.directory, 'standin.yaml'), account: 'hpo_proj', walltime: '10m', nodes: 2, max_pilots: 1 },
      objective: { metric: 'loss', direction: 'minimize' },
      search_space: { x: { type: 'float', min: 0, max: 1 } },
      sampler: { type: 'random', seed: 5 },
      training: { bundle, command: ['sh', '{code}/train.sh', '1', '{x}'] },
      budget: { trials: 8 },
      working_dirs: { aurora_base: path.join(pbs.directory, 'flare'), local_base: path.join(pbs.directory, 'results') },
    };
    const running = engine.run(source, 'clocks-1') as Promise<CampaignResult>;
    await eventually(() => linesOf('starts').length >= 2, 120, 'the first trainings');
    pbs.admin('kill', { id: pbs.jobs().find((each) => each.state === 'R')?.id ?? '' });
    const result = await running;
    expect(result.counts).toMatchObject({ total: 8, completed: 8 });
    const starts = linesOf('starts');
    expect(new Set(starts).size).toBe(starts.length);

    // The clocks were what they should be, and nothing that is told was measured between two of them.
    const offsets = linesOf('node-clocks').map((clock) => Number(clock) - begun / 1000);
    expect(offsets[0]).toBeGreaterThan(SHIFTS.first - 60);
    expect(offsets.at(-1)).toBeLessThan(SHIFTS.later + 300);
    const login = await shell.run({ script: 'exec python3 -I -c "import time; print(time.time())"' });
    expect(login.kind === 'exited' ? Number(login.stdout) - Date.now() / 1000 : login).toBeCloseTo(SHIFTS.login, -2);
    const { rows } = await engine.client.workflow.getHandle('clocks-1').query(trialsQuery);
    for (const row of rows) {
      expect(row.runSeconds).toBeGreaterThan(0.9);
      expect(row.runSeconds).toBeLessThan(120);
      expect(row.finishedAt).toBeGreaterThan(begun);
      expect(row.finishedAt).toBeLessThanOrEqual(Date.now());
    }
  });
});
