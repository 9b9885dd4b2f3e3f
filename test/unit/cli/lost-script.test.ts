import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkCampaignFile } from '../../../src/cli/doctor-campaign.ts';
import { lostScript } from '../../../src/cli/lost-script.ts';
import { commandWords } from '../../../src/spec/command-words.ts';
import { cliJson } from '../../support/cli.ts';
import { SPEC } from '../report/campaign.ts';

let folder: string;
let bundle: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-script-'));
  bundle = path.join(folder, 'train');
  mkdirSync(path.join(bundle, 'lib'), { recursive: true });
  for (const file of ['train.py', 'run.sh', 'plain.sh', 'lib/fit.py']) writeFileSync(path.join(bundle, file), '');
  chmodSync(path.join(bundle, 'run.sh'), 0o755);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function told(command: string, withBundle: boolean): Promise<string[]> {
  const training = { ...SPEC.training, command: commandWords(command), ...(withBundle ? { bundle } : {}) };
  return lostScript({ ...SPEC, training });
}

describe('a script that will not be where the command runs', () => {
  it.each([
    ['python train.py --lr {lr}', 'train.py'],
    ['{python} -u train.py', 'train.py'],
    ['/usr/bin/python3.11 -W ignore src/train.py', 'src/train.py'],
    ['./train.sh {lr}', './train.sh'],
    ['bin/train --lr {lr}', 'bin/train'],
    ['bash train.sh', 'train.sh'],
    ['env OMP_NUM_THREADS=4 python train.py', 'train.py'],
    ['mpiexec -n 4 python train.py', 'train.py'],
    ['torchrun --nproc_per_node 4 train.py', 'train.py'],
    ['timeout 3600 Rscript --vanilla fit.R', 'fit.R'],
    ['python ../code/train.py', '../code/train.py'],
    ['python train.py --mode c -c conf.py', 'train.py'],
    ['python train.py -w 4 --project mine', 'train.py'],
  ])('without a bundle is warned of: %s', async (command, script) => {
    const [warning, ...more] = await told(command, false);
    expect(more).toEqual([]);
    expect(warning).toContain(`training.command: ${script} is looked for in the attempt's own new folder`);
    expect(warning).toContain('Write {code}/');
    expect(warning).toContain('with training.bundle: ');
  });

  it.each([
    'python /lus/me/train.py',
    '/opt/train/run.sh {lr}',
    '{python} {data_dir}/train.py',
    'python -m mypackage.train --lr {lr}',
    'python -um mypackage.train config.py',
    "python -c 'import train; train.run()'",
    'bash -lc "cd /lus/me && python train.py"',
    "sh -c 'python train.py'",
    'env -C /lus/me python train.py',
    'env --chdir=/lus/me python train.py',
    'mpiexec -wdir /lus/me python train.py',
    'uv run --directory /lus/me train.py',
    'conda run --cwd /lus/me python train.py',
    'apptainer exec image.sif python train.py',
    'my-trainer --lr {lr}',
    'train.py --lr {lr}',
    'echo hello',
    'python ~/train.py',
    'python train_{model}.py',
    'my-trainer --script=train.py',
  ])('is nothing to be warned of: %s', async (command) => {
    expect(await told(command, false)).toEqual([]);
  });

  it.each(['{python} {code}/train.py', 'python train.py', 'python lib/fit.py', './run.sh', 'bash ./run.sh', '{python} /else/where.py'])(
    'in the bundle is found: %s',
    async (command) => {
      expect(await told(command, true)).toEqual([]);
    },
  );

  it.each([
    ['{python} {code}/trian.py', '{code}/trian.py', 'Did you mean "train.py"?'],
    ['python fit.py', 'fit.py', 'Put it there, or write its absolute path on local.'],
    ['python ../train.py', '../train.py', 'Did you mean "train.py"?'],
  ])('in spite of a bundle is not there: %s', async (command, script, next) => {
    expect(await told(command, true)).toEqual([
      `training.command: ${script} is not in training.bundle (${bundle}), where the command runs: every trial would fail. ${next}`,
    ]);
  });

  it.each([
    ['./plain.sh {lr}', './plain.sh', 'plain.sh', 'sh ./plain.sh'],
    ['{code}/plain.sh {lr}', '{code}/plain.sh', 'plain.sh', 'sh {code}/plain.sh'],
    ['{code}/train.py {lr}', '{code}/train.py', 'train.py', '{python} {code}/train.py'],
  ])('that has no permission to be run: %s', async (command, script, file, instead) => {
    expect(await told(command, true)).toEqual([
      `training.command: ${script} is not executable: every trial would fail. Run chmod +x ${path.join(bundle, file)}, or put its interpreter before it: ${instead}.`,
    ]);
    expect(await told(`sh ${command}`, true)).toEqual([]);
  });

  it('is told by holdfast validate and doctor, and stands in none of the campaigns that ship with Holdfast', async () => {
    const file = path.join(folder, 'c.yaml');
    const spec = {
      objective: { metric: 'a', direction: 'maximize' },
      search_space: { lr: { type: 'float', min: 0.1, max: 1 } },
      training: { command: 'python train.py {lr}' },
      budget: { trials: 3 },
    };
    writeFileSync(file, JSON.stringify(spec));
    expect((await cliJson<{ warnings: string[] }>('validate', file)).warnings).toEqual([
      "training.command: train.py is looked for in the attempt's own new folder, where no code of yours lies: every trial would fail. Write {code}/train.py, with training.bundle: the folder it is in, or its absolute path on local.",
    ]);
    expect((await checkCampaignFile(file, {})).findings).toContainEqual(
      expect.objectContaining({
        title: 'Training command',
        status: 'warn',
        found: expect.stringMatching(/^training\.command: train\.py is looked for/),
      }),
    );
    for (const name of readdirSync('config/campaigns')) {
      const { warnings = [] } = await cliJson<{ warnings?: string[] }>('validate', path.join('config/campaigns', name));
      expect(warnings.filter((warning) => warning.includes('every trial would fail'))).toEqual([]);
    }
  });
});
