import { describe, expect, it } from 'vitest';
import { PRESETS, type PresetName, renderPreset } from '../../../src/cli/cifar-presets.ts';
import { admitText } from '../../../src/spec/admit.ts';

const options = { env: {}, now: new Date('2026-11-23T00:00:00Z') };
const ENDPOINT = '4b116d3c-1703-4f8f-9f6f-39921e5864df';

/** Row X2: concurrent, batch, samples, patience, ramp, min, epochs, models; spacing, threshold, iterations. */
const ROW_X2 = {
  quick: [4, 2, 5, 8, 0.1, 0.3, [3, 20], 2, 3, 0.002, 20],
  standard: [8, 4, 10, 15, 0.05, 0.2, [5, 50], 4, 3, 0.002, 20],
  // Row L2: epochs; the rest as standard.
  thorough: [8, 4, 10, 15, 0.05, 0.2, [10, 100], 5, 3, 0.002, 20],
} as const;

describe.each(Object.keys(PRESETS) as PresetName[])('preset %s', (name) => {
  it('admitted as it is rendered, holds the numbers of row X2', () => {
    const llm = { baseUrl: 'https://inference.example/v1', model: 'm', apiKey: 'env:KEY' };
    const spec = admitText(renderPreset(name, { llm }), 'p.yaml', options);
    const epochs = spec.space.parameters.find((parameter) => parameter.name === 'num_epochs');
    const models = spec.space.parameters.find((parameter) => parameter.name === 'model_type');
    expect([
      spec.concurrency,
      spec.ramp?.initial,
      spec.sampler.initialPoints,
      spec.stop.patience,
      spec.llm?.options.exploitationRamp,
      spec.llm?.options.minExploration,
      epochs?.type === 'int' && [epochs.min, epochs.max],
      models?.type === 'categorical' && models.values.length,
      spec.spacingSeconds,
      spec.stop.minDelta,
      spec.budget.trials,
    ]).toEqual(ROW_X2[name]);
    expect(spec.llm?.options.initialSamples).toBe(spec.sampler.initialPoints);
  });

  it('is the same campaign on every system', () => {
    const here = admitText(renderPreset(name), 'p.yaml', options);
    const globus = admitText(renderPreset(name, { endpointId: ENDPOINT }), 'p.yaml', options);
    const aurora = admitText(renderPreset(name, { system: 'aurora', account: 'P', queue: 'capacity' }), 'p.yaml', options);
    expect([here.system.kind, globus.system.kind, aurora.system.kind]).toEqual(['local', 'globus_compute', 'pbs']);
    for (const spec of [globus, aurora]) {
      expect([spec.space, spec.concurrency, spec.ramp, spec.spacingSeconds]).toEqual([
        here.space,
        here.concurrency,
        here.ramp,
        here.spacingSeconds,
      ]);
    }
  });
});

it('preset thorough has the space of row L2, rates in their logarithm, inert parameters only where they act', () => {
  const { space } = admitText(renderPreset('thorough'), 'p.yaml', options);
  const parameters = Object.fromEntries(space.parameters.map(({ name, ...parameter }) => [name, parameter]));
  expect(parameters).toMatchObject({
    learning_rate: { type: 'float', min: 1e-5, max: 0.1, log: true },
    num_epochs: { type: 'int', min: 10, max: 100 },
    hidden_size: { values: [512, 1024, 2048], when: { model_type: ['custom'] } },
    num_layers: { type: 'int', min: 2, max: 4, when: { model_type: ['custom'] } },
    dropout_rate: { type: 'float', min: 0.1, max: 0.5 },
    weight_decay: { type: 'float', min: 1e-6, max: 1e-3, log: true },
  });
});
