import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { admitCampaign } from '../../../src/spec/admit.ts';

const ENV = { ALCF_PROJECT: 'proj', ALCF_USER: 'someone', GLOBUS_ENDPOINT_ID: '11111111-2222-3333-4444-555555555555' };
const NOW = new Date('2026-11-23T00:00:00Z');
const file = (name: string) => `config/campaigns/cifar100-${name}.yaml`;
const LARGE = ['aurora-pbs', 'aurora-globus', 'polaris-pbs'] as const;

describe('config/campaigns/cifar100-*', () => {
  it.each([
    ['aurora-pbs', 'xpu', 'pbs', 'aurora'],
    ['aurora-globus', 'xpu', 'globus_compute', 'globus-compute'],
    ['polaris-pbs', 'cuda', 'pbs', 'polaris'],
  ])('%s is admitted for its system and refuses to train on anything but %s', async (name, device, kind, system) => {
    const spec = await admitCampaign(file(name), { env: ENV, now: NOW });
    expect(spec.system).toMatchObject({ kind, name: system });
    const words = spec.training.command;
    expect(words[words.indexOf('--require-device') + 1]).toBe(device);
    expect(spec.training.dataDir).toMatch(/\/proj\/someone\/data\/cifar-100-python$/);
    expect(spec.objectives).toEqual([{ metric: 'val_auc', direction: 'maximize', reduce: 'result' }]);
  });

  it.each(LARGE)('%s has the space of the prototype, with the inert parameters only where they act', async (name) => {
    const { space } = await admitCampaign(file(name), { env: ENV, now: NOW });
    const parameters = Object.fromEntries(space.parameters.map((parameter) => [parameter.name, parameter]));
    expect(Object.keys(parameters).sort()).toEqual(
      ['batch_size', 'dropout_rate', 'hidden_size', 'learning_rate', 'model_type', 'num_epochs', 'num_layers', 'weight_decay'].sort(),
    );
    expect(parameters.learning_rate).toMatchObject({ type: 'float', min: 1e-5, max: 0.1, log: true });
    expect(parameters.num_epochs).toMatchObject({ type: 'int', min: 5, max: 100 });
    expect(parameters.batch_size).toMatchObject({ values: [32, 64, 128, 256], weights: [0.1, 0.3, 0.4, 0.2] });
    expect(parameters.model_type).toMatchObject({ weights: [0.3, 0.25, 0.2, 0.15, 0.1, 0.1] });
    for (const inert of ['hidden_size', 'num_layers']) expect(parameters[inert]?.when).toEqual({ model_type: ['custom'] });
  });

  it.each(LARGE)('%s names every variable that is not set', async (name) => {
    await expect(admitCampaign(file(name), { env: {}, now: NOW })).rejects.toThrow(/ALCF_PROJECT is not set/);
  });

  it('local-smoke needs nothing to be set, and its images are generated', async () => {
    const spec = await admitCampaign(file('local-smoke'), { env: {}, now: NOW });
    expect(spec.system).toMatchObject({ kind: 'local', name: 'local' });
    expect(spec.training.command[0]).toBe('/usr/bin/python3');
    expect(spec.training.command).toContain('--synthetic-images');
  });

  it('every parameter and every flag is a setting of the training', async () => {
    const rows = [...readFileSync('remote/training/cifar100/payload/options.py', 'utf8').matchAll(/^ {4}Row\("(\w+)"/gm)].map(
      ([, name]) => name,
    );
    expect(rows.length).toBeGreaterThan(30);
    for (const name of [...LARGE, 'local-smoke']) {
      const source = parse(readFileSync(file(name), 'utf8'));
      const spec = await admitCampaign(file(name), { env: ENV, now: NOW });
      const flags = spec.training.command.filter((word) => word.startsWith('--')).map((word) => word.slice(2).replaceAll('-', '_'));
      for (const used of [...Object.keys(source.search_space), ...flags]) expect(rows, `${used} in ${name}`).toContain(used);
    }
  });
});
