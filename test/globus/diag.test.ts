import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DiagnosisKind, type DiagOptions, diag } from '../../src/cli/diag.ts';
import { loadProfile } from '../../src/spec/load-profile.ts';
import type { GlobusProfile } from '../../src/spec/profile.ts';
import { connect } from '../../src/systems/globus/connection.ts';
import { diagnoseGlobus } from '../../src/systems/globus/diagnose-system.ts';
import { randomTraining, trainingProblems } from '../../src/systems/globus/diagnostic-points.ts';
import { GLOBUS_CHECKS, runDoctor } from '../../src/systems/globus/doctor.ts';
import type { DoctorContext } from '../../src/systems/globus/doctor-findings.ts';
import { localProgram } from '../../src/systems/globus/endpoint-command.ts';
import type { GlobusDriverOptions } from '../../src/systems/globus/options.ts';
import { RequestBudget, shareBudget } from '../../src/systems/globus/request-budget.ts';
import { type Rig, startRig } from '../support/globus-rig.ts';
import { GLOBUS_PYTHON, HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';

/** What stands in for the frameworks module of Aurora: an XPU that multiplies. */
const FAKE_TORCH = `
__version__ = "2.10.0"
class xpu:
    is_available = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 12)
    get_device_name = staticmethod(lambda index: "Data Center GPU Max")
    current_device = staticmethod(lambda: 0)
class Ones:
    def __init__(self, *shape, device): self.shape = shape; assert device == "xpu"
    def __matmul__(self, other): return self
    def sum(self): return self.shape[0] ** 3
ones = Ones
`;

describe('random settings of diag training', () => {
  it('are the same table for the same seed and inside of what the training takes', () => {
    const table = (seed: number) => Array.from({ length: 200 }, (_, index) => randomTraining(seed, index + 1, 3));
    expect(table(42)).toEqual(table(42));
    expect(table(42)).not.toEqual(table(43));
    for (const point of table(42)) {
      expect(trainingProblems(point)).toEqual([]);
      expect(point.learning_rate as number).toBeGreaterThanOrEqual(1e-4);
      expect(point.learning_rate as number).toBeLessThanOrEqual(1e-2);
      expect('hidden_size' in point).toBe(point.model_type === 'custom');
    }
    expect(new Set(table(42).map((point) => point.model_type)).size).toBe(6);
  });

  it.each([
    [{ learning_rate: 2 }, /learning_rate 2/],
    [{ dropout_rate: 0.9 }, /dropout_rate/],
    [{ num_layers: 11 }, /num_layers/],
    [{ hidden_size: 5000 }, /hidden_size/],
    [{ model_type: 'alexnet' }, /alexnet/],
  ])('%o is refused', (point, message) => {
    expect(trainingProblems(point as never).join()).toMatch(message);
  });
});

describe.skipIf(!HAS_GLOBUS_PYTHON)('holdfast diag', () => {
  let rig: Rig;
  let driver: Partial<GlobusDriverOptions>;
  beforeAll(async () => {
    rig = await startRig();
    driver = {
      stateDirectory: join(rig.folder, 'diag-state'),
      workingFolder: rig.folder,
      base: join(rig.folder, 'remote'),
      authorizer: rig.authorizer,
      pollSeconds: 0.05,
      budget: new RequestBudget(100_000, 10),
      processEnv: {
        GLOBUS_SDK_ENVIRONMENT: 'local',
        GLOBUS_SDK_SERVICE_URL_COMPUTE: rig.service.url,
        GLOBUS_SDK_SERVICE_URL_AUTH: rig.service.url,
      },
      times: { agentPoll: 0.05, heartbeat: 0.3, control: 60 },
    };
  });
  afterAll(() => rig?.end());

  async function run(kind: DiagnosisKind, options: Partial<DiagOptions> = {}, fails = false) {
    const [output, errors] = [new PassThrough(), new PassThrough()];
    const chunks: Buffer[] = [];
    output.on('data', (chunk: Buffer) => chunks.push(chunk));
    // Of five trainings, those with an odd number fail when they are asked to.
    const training = {
      bundle: join(rig.folder, 'code'),
      command: ['{python}', '{code}/train.py', join(rig.folder, 'starts.log')],
      metric: 'score',
      point: (_: number, number: number) => ({ x: number / 10, exit: fails && number % 2 ? 1 : 0 }),
    };
    const exit = await diag(
      kind,
      { endpointId: rig.endpoint.id, python: GLOBUS_PYTHON, maxWaitMinutes: 1, ...options },
      { env: {}, output, errors },
      { driver, training, taskSeconds: 0.1 },
    );
    return { exit, text: Buffer.concat(chunks).toString(), progress: String(errors.read() ?? '') };
  }

  it('connectivity waits for the answer and prints the remote host', async () => {
    expect(await run('connectivity')).toMatchObject({ exit: 'ok', text: expect.stringMatching(/PASS connectivity: Hello from \S+!/) });
  });

  it('torch fails with the class of a missing module where torch is not there', async () => {
    const { exit, text } = await run('torch');
    expect(exit).toBe('failed');
    expect(text).toMatch(/FAIL torch: Python module torch is missing.*environment_error/);
  });

  it('parallel runs twelve tasks and counts hosts and devices', async () => {
    const { exit, text } = await run('parallel', { json: true });
    const document = JSON.parse(text) as { verdicts: { rows: unknown[]; message: string }[] };
    expect(exit).toBe('ok');
    expect(document.verdicts[0]?.rows).toHaveLength(12);
    expect(document.verdicts[0]?.message).toMatch(/^12 of 12 tasks on 1 hosts/);
  });

  it('training passes when all complete and fails at once when three of five fail', async () => {
    expect(await run('training')).toMatchObject({
      exit: 'ok',
      text: expect.stringMatching(/5 of 5 trainings completed, mean objective 0\.3000/),
      progress: expect.stringMatching(/\d of 5 trainings have ended\n/),
    });
    const failed = await run('training', { showDetailedErrors: true, quiet: true }, true);
    expect(failed).toMatchObject({ exit: 'failed', progress: '' });
    expect(failed.text).toMatch(/at least 4 must/);
  });

  it('comprehensive gives four verdicts, of which torch may fail', async () => {
    const { exit, text } = await run('comprehensive', { json: true });
    const document = JSON.parse(text) as { passed: boolean; verdicts: { name: string; verdict: string }[] };
    expect(document.verdicts.map(({ name, verdict }) => [name, verdict])).toEqual([
      ['connectivity', 'pass'],
      ['torch', 'fail'],
      ['parallel', 'pass'],
      ['training', 'pass'],
    ]);
    expect([exit, document.passed]).toEqual(['ok', true]);
  });

  it('aurora fails on a worker without an XPU, naming the check, and passes where PyTorch computes on one', async () => {
    const bare = await run('aurora', { json: true });
    const rows = (JSON.parse(bare.text) as { verdicts: { rows: { check: string; status: string }[] }[] }).verdicts[0]?.rows ?? [];
    expect(bare.exit).toBe('failed');
    expect(Object.fromEntries(rows.map(({ check, status }) => [check, status]))).toMatchObject({
      python: 'ok',
      torch: 'fail',
      device: 'fail',
      tensor: 'fail',
      intel_extension_for_pytorch: 'warn',
      folder: 'ok',
      agent: 'ok',
    });
    const frameworks = join(rig.folder, 'frameworks');
    for (const name of ['torch', 'numpy', 'intel_extension_for_pytorch']) mkdirSync(join(frameworks, name), { recursive: true });
    writeFileSync(join(frameworks, 'numpy', '__init__.py'), '');
    writeFileSync(join(frameworks, 'intel_extension_for_pytorch', '__init__.py'), '');
    writeFileSync(join(frameworks, 'torch', '__init__.py'), FAKE_TORCH);
    const python = join(rig.folder, 'python-with-frameworks');
    writeFileSync(python, `#!/bin/sh\nPYTHONPATH='${frameworks}' exec '${GLOBUS_PYTHON}' "$@"\n`);
    chmodSync(python, 0o755);
    const { exit, text } = await run('aurora', { python });
    expect(text).toMatch(/device +ok +12 × Data Center GPU Max/);
    expect([exit, text]).toEqual(['ok', expect.stringMatching(/^(PASS|WARN) aurora: (all 9 checks passed|usable, but tile)/)]);
  });

  it('refuses an id that is none', async () => {
    await expect(run('connectivity', { endpointId: 'your-endpoint-id' })).rejects.toThrow(/no UUID/);
  });

  describe('doctor', () => {
    const context = (changes: Partial<DoctorContext> = {}): DoctorContext => ({
      env: { GLOBUS_COMPUTE_USER_DIR: join(rig.folder, 'user'), ...driver.processEnv },
      authMethod: 'native_client',
      run: localProgram({ PATH: '' }),
      python: GLOBUS_PYTHON,
      modules: ['json'],
      base: join(rig.folder, 'remote'),
      taskSeconds: 60,
      endpointId: rig.endpoint.id,
      ...changes,
    });
    const online = (changes: Partial<DoctorContext> = {}) => {
      const connection = connect({ stateDirectory: join(rig.folder, 'doctor'), ...driver });
      return context({
        client: connection.client('native_client'),
        target: connection.target(rig.endpoint.id, 'native_client'),
        ...changes,
      });
    };
    const find = (findings: Awaited<ReturnType<typeof runDoctor>>, id: string) => findings.find((finding) => finding.id === id);

    it('has a row for each of TS1 to TS20, and without login or network only skips and offline findings', async () => {
      expect(GLOBUS_CHECKS.map((check) => check.id)).toEqual(
        expect.arrayContaining(Array.from({ length: 20 }, (_, index) => `TS${index + 1}`)),
      );
      const before = rig.service.exchanges.length;
      const findings = await runDoctor(context());
      expect(rig.service.exchanges).toHaveLength(before);
      expect(find(findings, 'TS1')).toMatchObject({ verdict: 'FAIL', fix: 'holdfast login globus' });
      expect(find(findings, 'TS8')?.verdict).toBe('SKIP');
      expect(find(findings, 'TS10')).toMatchObject({ verdict: 'OK', message: 'our function survives packing' });
      for (const finding of findings) if (finding.verdict === 'FAIL') expect(finding.fix).toBeTruthy();
    });

    it('on a healthy endpoint finds nothing but what this machine has not', async () => {
      const findings = await runDoctor(online());
      const bad = findings.filter((finding) => finding.verdict === 'FAIL' && !['TS1', 'S4.account'].includes(finding.id));
      expect(bad).toEqual([]);
      expect(find(findings, 'S4.python')?.verdict).toBe('OK');
      expect(find(findings, 'S4.project')?.verdict).toBe('OK');
    });

    it.each<[string, Partial<DoctorContext>, RegExp]>([
      [
        'TS7',
        { setup: ['export A=1', 'module load frameworks-that-do-not-exist'] },
        /line 2 ended with 127: module load frameworks-that-do-not-exist .*not found/,
      ],
      ['TS11', { dataDir: '/nowhere/cifar' }, /does not exist/],
      ['TS12', { modules: ['torch_not_here'] }, /torch_not_here/],
    ])('%s is found', async (id, changes, message) => {
      const finding = find(await runDoctor(online(changes)), id);
      expect(finding).toMatchObject({ verdict: 'FAIL', message: expect.stringMatching(message), fix: expect.any(String) });
    });

    it('TS7 names the first line of worker_init that fails, on a worker and on the machine itself', async () => {
      const activate = join(rig.folder, 'activate');
      // Tests that fail inside of a file that is sourced are its own business.
      writeFileSync(activate, 'false\ntrue\n');
      const init = (...lines: string[]) => ({ endpointSettings: { worker_init: lines.join('\n') } as DoctorContext['endpointSettings'] });
      const good = init('# modules', 'if true; then', '  export A=1', 'fi', `source ${activate}`, 'false || true');
      const bad = init('# modules', 'export A=1', 'module load gone', 'export B=1');
      const told = { verdict: 'WARN', message: expect.stringMatching(/line 3 ended with 127: module load gone/), fix: expect.any(String) };
      expect(find(await runDoctor(online({ ...good } as Partial<DoctorContext>)), 'TS7')?.verdict).toBe('OK');
      expect(find(await runDoctor(online({ ...bad } as Partial<DoctorContext>)), 'TS7')).toMatchObject(told);
      const here = { run: localProgram({ PATH: process.env.PATH ?? '' }), endpointName: 'rig' };
      expect(find(await runDoctor(context({ ...here, ...good } as Partial<DoctorContext>)), 'TS7')?.verdict).toBe('OK');
      expect(find(await runDoctor(context({ ...here, ...bad } as Partial<DoctorContext>)), 'TS7')).toMatchObject(told);
      expect(find(await runDoctor(context(bad as Partial<DoctorContext>)), 'TS7')?.verdict).toBe('SKIP');
    });

    it('one system is diagnosed with the login of this computer, and without one only offline', async () => {
      const profile = {
        ...loadProfile('globus-compute'),
        endpointId: rig.endpoint.id,
        base: join(rig.folder, 'remote'),
        python: GLOBUS_PYTHON,
      } as GlobusProfile;
      const env = { ...driver.processEnv, GLOBUS_COMPUTE_USER_DIR: join(rig.folder, 'nobody'), XDG_STATE_HOME: join(rig.folder, 'xdg') };
      const before = rig.service.exchanges.length;
      const offline = await diagnoseGlobus(profile, env);
      expect(rig.service.exchanges).toHaveLength(before);
      expect(offline.find((finding) => finding.id === 'TS1')).toMatchObject({ status: 'fail', advice: 'Run: holdfast login globus' });
      shareBudget(rig.service.url, new RequestBudget(100_000, 10));
      rig.service.clients.set('client', 'secret');
      const client = {
        ...env,
        HOLDFAST_GLOBUS_AUTH: 'confidential_client',
        GLOBUS_COMPUTE_CLIENT_ID: 'client',
        GLOBUS_COMPUTE_CLIENT_SECRET: 'secret',
      };
      const online = await diagnoseGlobus(profile, client);
      expect(online.filter((finding) => finding.status === 'fail')).toEqual([]);
      expect(online.find((finding) => finding.id === 'S4.project')).toMatchObject({
        status: 'ok',
        found: expect.stringContaining('can be written'),
      });
      expect(online.find((finding) => finding.id === 'TS3')?.status).toBe('ok');
    });

    it('damaged and missing files of the data set are found by name', async () => {
      const folder = join(rig.folder, 'data', 'cifar-100-python');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'train'), 'not the data');
      const findings = await runDoctor(online({ dataDir: join(rig.folder, 'data'), dataset: 'cifar100' }));
      expect(find(findings, 'TS16')?.message).toMatch(/train is damaged: md5/);
      expect(find(findings, 'TS18')?.message).toMatch(/meta cannot be read.*No such file/);
      expect(find(findings, 'TS15')?.message).toContain('cifar-100-python');
    });

    it('an offline endpoint, a closed queue and a refusal of qsub are found', async () => {
      rig.endpoint.setOnline(false);
      try {
        const connection = connect({ stateDirectory: join(rig.folder, 'doctor'), ...driver });
        expect(find(await runDoctor(context({ client: connection.client('native_client') })), 'TS8')).toMatchObject({
          verdict: 'FAIL',
          fix: 'holdfast endpoint start NAME',
        });
      } finally {
        rig.endpoint.setOnline(true);
      }
      const bin = join(rig.folder, 'bin');
      mkdirSync(bin, { recursive: true });
      writeFileSync(join(bin, 'qstat'), '#!/bin/sh\necho "Queue: debug"\necho "    enabled = True"\necho "    started = False"\n');
      chmodSync(join(bin, 'qstat'), 0o755);
      const endpoint = join(rig.folder, 'user', 'rig');
      mkdirSync(endpoint, { recursive: true });
      writeFileSync(join(endpoint, 'config.yaml'), 'display_name: null\n');
      writeFileSync(join(endpoint, 'endpoint.log'), '2026 ERROR submit failed\nqsub: Unauthorized Request  account=nope\n');
      const settings = {
        scheduler: 'pbs',
        queue: 'debug',
        worker_init: '',
        max_workers_per_node: 12,
        nodes_per_block: 1,
        max_blocks: 1,
      } as DoctorContext['endpointSettings'];
      const findings = await runDoctor(
        context({
          run: localProgram({ PATH: `${bin}:/bin:/usr/bin` }),
          endpointName: 'rig',
          ...(settings ? { endpointSettings: settings } : {}),
          maxConcurrent: 24,
        }),
      );
      expect(find(findings, 'TS4')?.message).toBe('queue debug is not started');
      expect(find(findings, 'TS5')).toMatchObject({ verdict: 'FAIL', message: expect.stringContaining('Unauthorized Request') });
      expect(find(findings, 'TS6')).toMatchObject({ verdict: 'WARN', message: expect.stringContaining('submit failed') });
      expect(find(findings, 'TS20')).toMatchObject({ verdict: 'WARN', message: expect.stringContaining('24 is above the 12 workers') });
    });
  });
});
