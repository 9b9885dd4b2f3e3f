import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { describeFindings, doctor, type Finding } from '../../../src/cli/doctor.ts';
import { createPbsDriver } from '../../../src/systems/pbs/driver.ts';
import { planOf, QUICK, STAND_IN_SITE, standInProfile, standInShell } from '../../support/pbs/campaign.ts';
import { PbsStandIn } from '../../support/pbs/standin.ts';

let pbs: PbsStandIn;
beforeAll(async () => {
  pbs = await PbsStandIn.start();
});
afterAll(() => pbs.close());

async function examine(change: object = {}, env: Record<string, string> = {}, config?: string) {
  const file = join(pbs.directory, 'standin.yaml');
  writeFileSync(file, stringify({ ...STAND_IN_SITE, ...change }));
  let shown = '';
  const output = new PassThrough();
  output.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  const io = {
    env: { ...pbs.env, HOLDFAST_RUNTIME_DIR: join(pbs.directory, 'run'), ...env },
    input: new PassThrough(),
    output,
    errors: new PassThrough().resume(),
    interrupted: new AbortController().signal,
  };
  const exit = await doctor([file], { json: true, ...(config === undefined ? {} : { config }) }, io);
  const { findings } = JSON.parse(shown) as { findings: Finding[] };
  return { exit, findings, of: (id: string) => findings.find((finding) => finding.id === id) };
}

it('says of a site without trouble that its server, history and queue are there', async () => {
  const { exit, of } = await examine();
  expect(exit).toBe('ok');
  expect(of('node')).toMatchObject({ status: 'ok' });
  expect(of('python')).toMatchObject({ status: 'ok' });
  expect(of('ssh-programs')).toMatchObject({ status: 'ok', system: 'standin' });
  expect(of('ssh-copies')).toMatchObject({ status: 'ok' });
  expect(of('pbs-server')).toMatchObject({ status: 'ok' });
  expect(of('pbs-history')).toMatchObject({ status: 'ok', found: 'on' });
  expect(of('pbs-queue')).toMatchObject({ status: 'ok', found: 'debug is open' });
});

it('names a default queue that the site does not have, and ends as failed', async () => {
  const queues = [{ name: 'gone', nodes: { min: 1, max: 2 }, walltime: { max: '1h' } }];
  const { exit, of } = await examine({ default_queue: 'gone', queues });
  expect(exit).toBe('failed');
  expect(of('pbs-queue')).toMatchObject({ status: 'fail', found: 'gone is not there' });
  expect(of('pbs-profile')).toMatchObject({ status: 'warn', advice: expect.stringContaining('holdfast systems diff standin') });
});

it('without a login skips what needs one, names the command, and does not end as failed for it', async () => {
  const { exit, of } = await examine({ ssh: { host: 'nowhere.invalid' } });
  expect(exit).toBe('ok');
  expect(of('ssh-login')).toMatchObject({ status: 'warn', advice: expect.stringContaining('holdfast login standin') });
  expect(of('ssh-copies')).toMatchObject({ status: 'skip' });
  expect(of('pbs-server')).toBeUndefined();
});

it('a server that does not answer is a failure in the words of qstat', async () => {
  await pbs.stopServer();
  const { exit, of } = await examine().finally(() => pbs.startServer());
  expect(exit).toBe('failed');
  expect(of('pbs-server')).toMatchObject({ status: 'fail' });
});

it('prints a line per finding with its advice below', () => {
  const text = describeFindings([
    { id: 'a', title: 'A', status: 'ok', found: 'fine' },
    { id: 'b', title: 'B', status: 'warn', found: 'odd', advice: 'Mend it.', system: 's' },
  ]);
  expect(text).toBe('OK   A: fine\nWARN s: B: odd\n     Mend it.');
});

it('names the setup line that fails, and the Python behind them all', async () => {
  const bad = await examine({ setup: ['export HF_A=1', 'module-that-is-not-there load frameworks', 'echo never'] });
  expect(bad.exit).toBe('failed');
  expect(bad.of('site-setup')).toMatchObject({ status: 'fail', found: 'line 2 ended with 127: module-that-is-not-there load frameworks' });
  const good = await examine({ setup: ['export HF_A=1', 'test "$HF_A" = 1'] });
  expect(good.of('site-setup')).toMatchObject({ status: 'ok', found: expect.stringMatching(/^2 lines, then Python 3\./) });
  expect((await examine({ python: '/no/such/python' })).of('site-setup')).toMatchObject({ status: 'fail' });
});

it('says whether launches can be written there, and how much room there is', async () => {
  expect((await examine()).of('site-folder')).toMatchObject({ found: expect.stringMatching(/holdfast, \d+ GB free/) });
  const file = join(pbs.directory, 'standin.yaml');
  expect((await examine({ base: join(file, 'below-a-file') })).of('site-folder')).toMatchObject({
    status: 'fail',
    advice: expect.stringContaining('Set base'),
  });
});

it('repeats the site’s last refusal of a job with what mends it', async () => {
  expect((await examine()).of('pbs-refusals')).toMatchObject({ status: 'ok' });
  const profile = standInProfile();
  const driver = createPbsDriver({ name: 'standin', profile, shell: standInShell(pbs), timing: QUICK });
  await driver.prepareLaunch(planOf(pbs, { settings: { account: 'nobody' } }), () => undefined);
  expect(await driver.startPilot({ pilot: 'camp-1.p1', campaign: 'camp-1' })).toMatchObject({ kind: 'refused' });
  const { exit, of } = await examine();
  expect(exit).toBe('failed');
  expect(of('pbs-refusals')).toMatchObject({
    status: 'fail',
    found: 'qsub: No active allocation found for project nobody and resource aurora',
    advice: expect.stringContaining('another account'),
  });
  await driver.closeLaunch('camp-1');
});

it('goes in the order dependencies, campaign file, logins, and tells all of it whatever fails before', async () => {
  const good = join(pbs.directory, 'good.yaml');
  const space = 'search_space: {x: {type: float, min: 0, max: 1}}\ntraining: {command: "true", bundle: nowhere}\nbudget: {trials: 2}\n';
  const llm = 'llm: {base_url: "http://127.0.0.1:1/v1", model: m, api_key: "env:KEY_OF_NOBODY"}\n';
  writeFileSync(good, `objective: {metric: a, direction: maximize}\n${space}${llm}`);
  const { exit, findings, of } = await examine({ ssh: { host: 'nowhere.invalid' } }, {}, good);
  expect(exit).toBe('failed');
  const place = (id: string) => findings.findIndex((finding) => finding.id === id);
  expect([place('node'), place('campaign'), place('training-code'), place('llm-key'), place('ssh-login')]).toEqual(
    [place('node'), place('campaign'), place('training-code'), place('llm-key'), place('ssh-login')].sort((a, b) => a - b),
  );
  expect(of('campaign')).toMatchObject({ status: 'ok' });
  expect(of('training-code')).toMatchObject({ status: 'fail', found: expect.stringContaining('nowhere does not exist') });
  expect(of('llm-key')).toMatchObject({ status: 'fail', found: expect.stringContaining('KEY_OF_NOBODY') });
  expect(of('ssh-login')).toMatchObject({ status: 'warn' });

  writeFileSync(good, 'objectve: 1\nbudget: {trials: 0}\n');
  const bad = await examine({ ssh: { host: 'nowhere.invalid' } }, {}, good);
  expect(bad.findings.filter(({ id, status }) => id === 'campaign' && status === 'fail').length).toBeGreaterThan(2);
  expect(bad.of('ssh-login')).toMatchObject({ status: 'warn' });
});
