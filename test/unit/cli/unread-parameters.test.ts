import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cliJson } from '../../support/cli.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-unread-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
/** Warnings of `holdfast validate` about a campaign over learning_rate and batch_size. */
async function warnings(code: string, command = '{python} {code}/train.py'): Promise<string[]> {
  const bundle = path.join(folder, `train-${count++}`);
  mkdirSync(path.join(bundle, 'lib'), { recursive: true });
  writeFileSync(path.join(bundle, 'train.py'), 'from lib.run import run\nrun()\n');
  writeFileSync(path.join(bundle, 'lib', 'run.py'), code);
  const file = path.join(folder, 'c.yaml');
  const search_space = { learning_rate: { type: 'float', min: 0.1, max: 1 }, batch_size: { type: 'int', min: 1, max: 9 } };
  const spec = {
    version: 1,
    objective: { metric: 'a', direction: 'maximize' },
    search_space,
    training: { bundle, command },
    budget: { trials: 3 },
  };
  writeFileSync(file, JSON.stringify(spec));
  return (await cliJson<{ warnings: string[] }>('validate', file)).warnings.map((warning) => warning.replace(bundle, 'train'));
}

describe('a parameter that the training code does not name', () => {
  const told =
    'search_space.learning_rate: this name stands nowhere in the training code (train), and the command does not pass it: every trial would train without it.';

  it('is warned of, with the name that was meant', async () => {
    expect(await warnings('p = holdfast.params()\nbs = p["batch_size"]; lr = p["learnig_rate"]\n')).toEqual([
      `${told} Did you mean "learnig_rate"?`,
    ]);
    expect(await warnings("a.add_argument('--learning-rates')\nx = a.batch_size\n")).toEqual([`${told} Did you mean "learning_rates"?`]);
    expect(await warnings('import json\nbatch_size = 3\n')).toEqual([told]);
  });

  it('is none when it is read anywhere in the bundle, as an argument with a dash too, or passed by the command', async () => {
    expect(await warnings('p["learning_rate"], p["batch_size"]\n')).toEqual([]);
    expect(await warnings("a.add_argument('--learning-rate'); a.add_argument('--batch-size')\n")).toEqual([]);
    expect(await warnings('batch_size\n', '{python} {code}/train.py --lr {learning_rate}')).toEqual([]);
  });

  it('is not spoken of where the code may read every parameter without naming one, or where other code runs', async () => {
    expect(await warnings('model = Model(**params)\n')).toEqual([]);
    expect(await warnings('for name, value in params.items(): pass\n')).toEqual([]);
    expect(await warnings('pass\n', 'python3 /lus/code/train.py')).toEqual([]);
  });

  it('is in none of the campaigns that ship with Holdfast', async () => {
    for (const name of readdirSync('config/campaigns')) {
      const { warnings: found } = await cliJson<{ warnings?: string[] }>('validate', path.join('config/campaigns', name));
      expect((found ?? []).filter((warning) => warning.includes('stands nowhere'))).toEqual([]);
    }
  });
});
