import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toOptunaJournal } from '../../../src/report/optuna.ts';
import { campaignOf } from './campaign.ts';

const PYTHON = [process.env.HOLDFAST_TEST_PYTHON, '.cache/python-test/bin/python'].find((path) => path !== undefined && existsSync(path));

const READ = `
import json, sys, warnings
warnings.simplefilter("ignore")
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
study = optuna.load_study(study_name="digits-1", storage=JournalStorage(JournalFileBackend(sys.argv[1])))
trials = study.get_trials()
print(json.dumps({
  "count": len(trials),
  "states": [t.state.name for t in trials],
  "best": study.best_trial.user_attrs["holdfast_trial"],
  "best_value": study.best_value,
  "direction": study.direction.name,
  "metric": study.metric_names,
  "params": [t.params for t in trials],
  "curve": trials[0].intermediate_values,
  "seconds": trials[0].duration.total_seconds(),
}))
# A sampler of Optuna can go on from here: the distributions are those of a study of its own.
study.ask({k: v for k, v in trials[0].distributions.items()})
`;

describe('export to Optuna', () => {
  it.runIf(PYTHON)(
    'Optuna loads it: the same trials, states, parameters, best and curves',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'holdfast-optuna-'));
      try {
        const input = campaignOf(60);
        const path = join(folder, 'digits.journal');
        await writeFile(path, toOptunaJournal(input));
        const read = JSON.parse(execFileSync(PYTHON as string, ['-c', READ, path]).toString());
        expect(read.count).toBe(60);
        const names = { completed: 'COMPLETE', pruned: 'PRUNED', failed: 'FAIL' } as Record<string, string>;
        expect(read.states).toEqual(input.rows.map((row) => names[row.state]));
        const best = [...input.rows]
          .filter((row) => row.state === 'completed')
          .sort((a, b) => (b.values?.[0] ?? 0) - (a.values?.[0] ?? 0))[0];
        expect(read.best).toBe(best?.number);
        expect(read.best_value).toBe(best?.values?.[0]);
        expect(read).toMatchObject({ direction: 'MAXIMIZE', metric: ['val_accuracy'] });
        expect(read.params).toEqual(input.rows.map(({ params: { solver: _, ...params } }) => params));
        expect(Object.keys(read.curve)).toHaveLength(input.rows[0]?.curve?.length ?? 0);
        expect(read.seconds).toBeCloseTo(input.rows[0]?.runSeconds ?? 0, 2);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
    120_000,
  );

  it('a trial without a result never claims one', () => {
    const lines = toOptunaJournal(campaignOf(30))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const trials = lines.filter((line) => line.op_code === 4);
    expect(trials).toHaveLength(30);
    expect(trials.filter((trial) => trial.state !== 1).every((trial) => trial.value === null && trial.values === null)).toBe(true);
  });
});
