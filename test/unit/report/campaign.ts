import type { CampaignSpec } from '../../../src/domain/campaign.ts';
import type { CurvePoint, TrialOutcome, TrialRow } from '../../../src/domain/trial.ts';
import type { ReportInput } from '../../../src/report/input.ts';

export const SPEC: CampaignSpec = {
  version: 1,
  name: 'digits',
  description: 'A perceptron on handwritten digits',
  tags: ['quickstart'],
  system: { name: 'local', kind: 'local', settings: {} },
  objectives: [{ metric: 'val_accuracy', direction: 'maximize', reduce: 'best' }],
  space: {
    parameters: [
      { type: 'float', name: 'learning_rate', min: 1e-5, max: 0.1, log: true },
      { type: 'ordinal', name: 'batch_size', values: [32, 64, 128, 256] },
      { type: 'int', name: 'hidden', min: 16, max: 256, log: true },
      { type: 'float', name: 'alpha', min: 1e-6, max: 1e-2, log: true },
      { type: 'categorical', name: 'activation', values: ['relu', 'tanh', 'logistic'] },
      { type: 'float', name: 'dropout', min: 0, max: 0.6, when: { activation: ['relu'] } },
      { type: 'constant', name: 'solver', value: 'adam' },
    ],
  },
  sampler: { type: 'sobol', options: {} },
  enqueue: [],
  training: { command: ['{python}', 'train.py'], env: {}, slots: 1 },
  budget: { trials: 40 },
  stop: { minDelta: 0.001 },
  limits: { hangFactor: 10, hangMinSeconds: 60, graceSeconds: 10, logBytes: 1e6 },
  retries: { infrastructure: 5, trial: 1 },
  workingDirs: { localBase: 'results', launchIterationPattern: '{timestamp}', jobPattern: 'job_{job_id}' },
  allowDuplicates: false,
  seed: 7,
};

const START = Date.UTC(2026, 10, 23, 6, 0);

/** A repeatable campaign of `count` trials on four slots: curves that rise, one in eleven fails, one in seven is pruned. */
export function campaignOf(count: number, status: ReportInput['status'] = 'completed'): ReportInput {
  const random = lcg(1);
  const rows: TrialRow[] = [];
  const outcomes: TrialOutcome[] = [];
  const free = [START, START, START, START];
  for (let number = 1; number <= count; number += 1) {
    const learningRate = 10 ** (-5 + 4 * random());
    const activation = ['relu', 'tanh', 'logistic'][Math.floor(random() * 3)] as string;
    const params = {
      learning_rate: learningRate,
      batch_size: [32, 64, 128, 256][Math.floor(random() * 4)] as number,
      hidden: Math.round(16 * 16 ** random()),
      alpha: 10 ** (-6 + 4 * random()),
      activation,
      ...(activation === 'relu' ? { dropout: Math.round(60 * random()) / 100 } : {}),
      solver: 'adam',
    };
    const slot = free.indexOf(Math.min(...free));
    const startedAt = (free[slot] as number) + 400;
    const state = number % 11 === 5 ? ('failed' as const) : number % 7 === 3 ? ('pruned' as const) : ('completed' as const);
    const epochs = state === 'pruned' ? 4 : 20;
    const top = 0.985 - 0.09 * (Math.log10(learningRate) + 2.6) ** 2 - 0.05 * random() - (activation === 'logistic' ? 0.04 : 0);
    const curve: CurvePoint[] = Array.from({ length: epochs }, (_, epoch) => [
      epoch + 1,
      Math.max(0.1, top - 0.6 * Math.exp(-(epoch + 1) / 4) + 0.004 * (random() - 0.5)),
    ]);
    const value = Math.max(...curve.map(([, height]) => height));
    const runSeconds = (state === 'failed' ? 2 : 1 + 0.4 * epochs) + 3 * random();
    const finishedAt = startedAt + runSeconds * 1000;
    free[slot] = finishedAt;
    const ended = state === 'failed' ? {} : { values: [value], curve, step: epochs };
    const failure =
      state === 'failed'
        ? {
            failure: {
              class: number % 2 === 0 ? ('not_finite' as const) : ('exit_code' as const),
              message: 'exit code 3: ValueError: <b>bad</b> "quote", comma',
            },
          }
        : {};
    rows.push({
      number,
      params,
      origin: number <= 16 ? 'sobol' : 'tpe',
      state,
      attempts: state === 'failed' ? 2 : 1,
      runSeconds,
      createdAt: startedAt - 400,
      finishedAt,
      ...ended,
      ...failure,
    });
    outcomes.push({
      number,
      state,
      attempts: 1,
      runSeconds,
      startedAt,
      finishedAt,
      slot,
      pilot: 'agent-1',
      host: 'laptop',
      metrics: { val_loss: 1 - value, epoch: epochs },
      directory: `trials/job_trial-${number}/attempt-1`,
      files: [],
      ...ended,
      ...failure,
    });
  }
  return {
    campaign: 'digits-1',
    spec: SPEC,
    status,
    stopReason: `The budget of ${count} trials is used.`,
    startedAt: START,
    endedAt: Math.max(...free),
    rows,
    outcomes,
    utilisation: 0.94,
    provenance: { holdfast: '0.1.0', python: '3.11.2', bundle: 'sha256:1f0c…' },
    launch: { launch: '2026-11-23_digits-1', directory: '/scratch/x', localDirectory: 'results/x' },
  };
}

function lcg(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
