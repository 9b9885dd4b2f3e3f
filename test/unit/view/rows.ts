import type { Objective } from '../../../src/domain/campaign.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import type { CampaignDetailsInput } from '../../../src/view/campaign.ts';

export const ACCURACY: Objective = { metric: 'val_accuracy', direction: 'maximize', reduce: 'best' };
export const START = Date.UTC(2026, 10, 23, 6, 0);

/** A completed trial that ended `number` minutes after the start. */
export function completed(number: number, value: number, change: Partial<TrialRow> = {}): TrialRow {
  return {
    number,
    params: {
      learning_rate: 10 ** (-4 + (number % 7) / 2),
      batch_size: [32, 64, 128][number % 3] as number,
      hidden: 16 * (1 + (number % 5)),
    },
    origin: 'random',
    state: 'completed',
    values: [value],
    attempts: 1,
    createdAt: START,
    finishedAt: START + number * 60_000,
    runSeconds: 50,
    ...change,
  };
}

export function failed(number: number, change: Partial<TrialRow> = {}): TrialRow {
  const { values: _, ...row } = completed(number, 0);
  return { ...row, state: 'failed', failure: { class: 'not_finite', message: 'val_loss is NaN at epoch 3.' }, ...change };
}

/** A status that agrees with its rows. */
export function statusOf(rows: readonly TrialRow[], change: Partial<CampaignDetailsInput> = {}): CampaignDetailsInput {
  const count = (state: string) => rows.filter((row) => row.state === state).length;
  const best = rows.filter((row) => row.values !== undefined).sort((a, b) => (b.values?.[0] ?? 0) - (a.values?.[0] ?? 0))[0];
  return {
    name: 'digits',
    campaign: 'digits-1',
    system: 'local',
    phase: 'running',
    headline: 'Waiting for a running trial to end.',
    startedAt: START,
    elapsedSeconds: 1200,
    counts: {
      total: rows.length,
      queued: count('queued'),
      completed: count('completed'),
      pruned: count('pruned'),
      failed: count('failed'),
      cancelled: count('cancelled'),
    },
    budget: { trials: 40 },
    objectives: [ACCURACY],
    ...(best === undefined
      ? {}
      : { best: { number: best.number, values: best.values ?? [], ...(best.synthetic ? { synthetic: best.synthetic } : {}) } }),
    inFlight: rows.filter((row) => row.state === 'running' || row.state === 'queued').map((row) => row.number),
    concurrency: 4,
    sinceImprovement: 2,
    trainingHours: 0.5,
    problems: [],
    ...change,
  };
}
