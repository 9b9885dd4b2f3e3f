import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { diagSystem } from '../../../src/cli/diag-system.ts';
import { main } from '../../../src/cli/main.ts';
import { QUICK, STAND_IN_SITE } from '../../support/pbs/campaign.ts';
import { PbsStandIn } from '../../support/pbs/standin.ts';

/** A Python with torch; the checks that need one are skipped without. */
const TORCH = process.env.HOLDFAST_TORCH_PYTHON;

let pbs: PbsStandIn;
beforeEach(async () => {
  pbs = await PbsStandIn.start();
});
afterEach(() => pbs.close());

function site(change: object = {}): string {
  const file = join(pbs.directory, 'standin.yaml');
  writeFileSync(file, stringify({ ...STAND_IN_SITE, base: join(pbs.directory, 'flare'), ...change }));
  return file;
}

async function diagnose(
  file: string,
  options: { account?: string; queue?: string; dataDir?: string; json?: boolean; quiet?: boolean } = {},
) {
  const [output, errors] = [new PassThrough(), new PassThrough()];
  const io = {
    env: pbs.env,
    input: new PassThrough(),
    output,
    errors,
    interrupted: new AbortController().signal,
  };
  const exit = await diagSystem(file, { account: 'hpo_proj', ...options }, io, { timing: QUICK, pollSeconds: 0.2 });
  return { exit, text: String(output.read() ?? ''), progress: String(errors.read() ?? '') };
}

/** Nothing of the diagnosis is left: no job, no folder. */
function expectNothingLeft() {
  expect(pbs.jobs().filter(({ state }) => state !== 'F')).toEqual([]);
  expect(existsSync(join(pbs.directory, 'flare')) ? readdirSync(join(pbs.directory, 'flare')) : []).toEqual([]);
  expect(existsSync(join(pbs.home, '.holdfast', 'standin-diag'))).toBe(false);
}

describe('holdfast diag SYSTEM', () => {
  it('fails where a module of the training is missing on the node, and says which', { timeout: 120_000 }, async () => {
    const { exit, text, progress } = await diagnose(site({ env: { LOADEDMODULES: 'frameworks/2025:gcc' } }), { json: true });
    expect(progress).toMatch(/job \d+/);
    expect(exit).toBe('failed');
    const { passed, checks } = JSON.parse(text) as { passed: boolean; checks: { name: string; status: string; found: string }[] };
    expect(passed).toBe(false);
    const found = Object.fromEntries(checks.map(({ name, status, found }) => [name, `${status} ${found}`]));
    expect(found.environment).toMatch(/^ok .* in job \d+\./);
    expect(found.modules).toBe('ok frameworks/2025, gcc');
    expect(found.components).toMatch(/^ok /);
    expect(found.torch).toMatch(/^fail torch cannot be imported/);
    expect(found.tensor).toMatch(/^fail/);
    expectNothingLeft();
  });

  it.skipIf(!TORCH)(
    'passes with torch on processors, and fails where the profile gives each slot a device that torch does not see',
    {
      timeout: 240_000,
    },
    async () => {
      const data = join(pbs.directory, 'data');
      mkdirSync(data);
      writeFileSync(join(data, 'train'), 'x');
      const good = await diagnose(site({ python: TORCH }), { dataDir: data, quiet: true });
      expect(good.progress).toBe('');
      expect(good.text).toContain('OK   tensor');
      expect(good.text).toContain('OK   data');
      expect(good.text).toContain('WARN devices');
      expect(good.exit).toBe('ok');
      const bad = await diagnose(site({ python: TORCH, slots: { per_node: 2, env: { ZE_AFFINITY_MASK: '{slot}' } } }), {
        dataDir: '/no/such',
      });
      expect(bad.exit).toBe('failed');
      expect(bad.text).toContain('FAIL devices');
      expect(bad.text).toMatch(/FAIL data +\/no\/such is not there on this node/);
      expectNothingLeft();
    },
  );

  it('tells the job script’s own end where Python does not start on the node', { timeout: 120_000 }, async () => {
    await expect(diagnose(site({ python: '/no/such/python' }))).rejects.toMatchObject({
      code: 'HF-DIAG',
      message: expect.stringContaining('92'),
    });
    expectNothingLeft();
  });

  it('refuses what the queue refuses before any job, and a system that is not there', async () => {
    await expect(diagnose(site(), { queue: 'debug-scalin' })).rejects.toMatchObject({ exit: 'usage' });
    expect(pbs.events()).toEqual([]);
    const errors = new PassThrough();
    const io = { env: pbs.env, input: new PassThrough(), output: new PassThrough(), errors, interrupted: new AbortController().signal };
    expect(await main(['diag', 'aurorra'], io)).toBe(2);
    expect(String(errors.read())).toContain('diag aurorra is not known. Did you mean');
  });
});
