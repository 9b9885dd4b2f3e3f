import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { CampaignSpec } from '../../../src/domain/campaign.ts';
import { admitCampaign, admitText } from '../../../src/spec/admit.ts';
import { BadSpec } from '../../../src/spec/bad-spec.ts';
import { GOOD_FILE } from './wrong-files.ts';

const options = { env: { AURORA_USER: 'someone', PARTS: '12', HOME_DIR: '/lus/x' }, now: new Date('2026-11-23T00:00:00Z') };

function admit(...lines: string[]): CampaignSpec {
  const own = lines.map((line) => /^(\w+):/.exec(line)?.[1]);
  const kept = GOOD_FILE.split(/\n(?=\S)/).filter((section) => !own.includes(/^(\w+):/.exec(section)?.[1]));
  return admitText([...kept, ...lines].map((section) => section.trimEnd()).join('\n'), 'c.yaml', options);
}

const ENDPOINT = '00000000-0000-4000-8000-0000000000e1';

describe('the defaults', () => {
  it('are all filled in', () => {
    expect(admitText(GOOD_FILE, 'c.yaml', options)).toMatchObject({
      version: 1,
      name: 'good',
      system: { name: 'local', kind: 'local', settings: {} },
      objectives: [{ metric: 'val_accuracy', direction: 'maximize', reduce: 'result' }],
      enqueue: [],
      training: { command: ['{python}', 'train.py', '--lr', '{lr}'], env: {}, slots: 1 },
      budget: { trials: 10 },
      stop: { minDelta: 0 },
      limits: { hangFactor: 20, hangMinSeconds: 600, graceSeconds: 15, logBytes: 67_108_864 },
      retries: { infrastructure: 5, trial: 1 },
      workingDirs: { localBase: 'results', launchIterationPattern: '{timestamp}_{experiment_id}', jobPattern: 'job_{job_id}' },
      allowDuplicates: false,
      seed: 0,
    });
  });

  it('name the campaign after its file when it has no name', () => {
    expect(admitText(GOOD_FILE.replace('name: good\n', ''), 'config/campaigns/night-run.yaml', options).name).toBe('night-run');
  });
});

/** One line of a file and what it changes: a key that is read and then forgotten fails here. */
const EFFECTS: readonly (readonly [line: string, select: (spec: CampaignSpec) => unknown, expected: unknown])[] = [
  ['name: other', (s) => s.name, 'other'],
  ['description: what it is for', (s) => s.description, 'what it is for'],
  ['tags: [a, b]', (s) => s.tags, ['a', 'b']],
  ['experiment: {description: d, tags: [t]}', (s) => [s.description, s.tags], ['d', ['t']]],
  [
    'objective: {metric: loss, direction: minimize, reduce: best, target: 0.1}',
    (s) => s.objectives,
    [{ metric: 'loss', direction: 'minimize', reduce: 'best', target: 0.1 }],
  ],
  ['objective: [{metric: a, direction: maximize}, {metric: b, direction: minimize}]', (s) => s.objectives.map((o) => o.metric), ['a', 'b']],
  [
    'metric_constraints: [peak_memory_gb <= 40, "auc>=.5"]',
    (s) => s.metricConstraints,
    [
      { metric: 'peak_memory_gb', op: '<=', bound: 40 },
      { metric: 'auc', op: '>=', bound: 0.5 },
    ],
  ],
  ['constraints: ["layers <= 4 or act == \'relu\'"]', (s) => s.space.constraints, ["layers <= 4 or act == 'relu'"]],
  ['sampler: random', (s) => s.sampler, { type: 'random', options: {} }],
  [
    'sampler: {type: sobol, seed: 3, initial_points: 5, default_first: false}',
    (s) => [s.sampler, s.seed],
    [{ type: 'sobol', initialPoints: 5, options: { default_first: false } }, 3],
  ],
  ['enqueue: [{lr: 0.01, layers: 3, act: tanh}]', (s) => s.enqueue, [{ lr: 0.01, layers: 3, act: 'tanh' }]],
  ['allow_duplicates: true', (s) => s.allowDuplicates, true],
  ['training: {command: "python \'my train.py\' --lr {lr}"}', (s) => s.training.command, ['python', 'my train.py', '--lr', '{lr}']],
  ['training: {command: [python, train.py, --layers, 3]}', (s) => s.training.command, ['python', 'train.py', '--layers', '3']],
  [
    'training: {command: train, bundle: ./code, env: {OMP_NUM_THREADS: 4, DEBUG: true}, data_dir: /data, slots: 2}',
    (s) => s.training,
    { command: ['train'], bundle: './code', env: { OMP_NUM_THREADS: '4', DEBUG: 'true' }, dataDir: '/data', slots: 2 },
  ],
  ['data: {dir: data/cifar-100-python}', (s) => s.training.dataDir, 'data/cifar-100-python'],
  [
    'budget: {trials: 5, node_hours: 1.5, wall_time: 6h, until: 2026-12-20}',
    (s) => s.budget,
    { trials: 5, nodeHours: 1.5, wallSeconds: 21_600, deadline: '2026-12-20T23:59:59.000Z' },
  ],
  ['budget: {deadline: 2026-12-20T18:00:00-06:00}', (s) => s.budget, { deadline: '2026-12-21T00:00:00.000Z' }],
  [
    'stop: {patience: 15, min_delta: 0.001, rule: windowed, window: 5}',
    (s) => s.stop,
    { patience: 15, minDelta: 0.001, options: { rule: 'windowed', window: 5 } },
  ],
  ['stop: {patience: 3, rule: windowed}', (s) => s.stop, { patience: 3, minDelta: 0, equalIsNoGain: true, options: { rule: 'windowed' } }],
  ['stop: {failures_alike: 0}', (s) => s.stop, { minDelta: 0, failuresAlike: 0 }],
  ['stop: {target: 0.99}', (s) => s.objectives[0]?.target, 0.99],
  ['concurrency: 8', (s) => s.concurrency, 8],
  ['spacing: 0.5', (s) => s.spacingSeconds, 0.5],
  [
    'limits: {trial_seconds: 2h, hang_factor: 0, hang_min_seconds: 60, grace_seconds: 5, log_bytes: 1MB}',
    (s) => s.limits,
    { trialSeconds: 7200, hangFactor: 0, hangMinSeconds: 60, graceSeconds: 5, logBytes: 1_000_000 },
  ],
  ['retries: {infrastructure: 2, trial: 0}', (s) => s.retries, { infrastructure: 2, trial: 0 }],
  [
    'working_dirs: {remote_base: /lus/x, local_base: out, launch_iteration_pattern: "a_{timestamp}_{campaign}", job_pattern: "t{job_id}"}',
    (s) => s.workingDirs,
    { remoteBase: '/lus/x', localBase: 'out', launchIterationPattern: 'a_{timestamp}_{campaign}', jobPattern: 't{job_id}' },
  ],
  ['working_dirs: {aurora_base: /lus/y}', (s) => s.workingDirs.remoteBase, '/lus/y'],
  ['system: {name: aurora, project: P}', (s) => s.system, { name: 'aurora', kind: 'pbs', settings: { mode: 'pilot', account: 'P' } }],
  [
    'system: {name: aurora, account: P, queue: capacity, walltime: "06:00:00", nodes: 2, mode: job, max_pilots: 2, prefetch: 0, filesystems: flare, slots_per_node: 6, setup: [module load x], python: python3.12, directives: ["-m abe"]}',
    (s) => s.system.settings,
    {
      account: 'P',
      queue: 'capacity',
      walltime: 21_600,
      nodes: 2,
      mode: 'job',
      maxPilots: 2,
      prefetch: 0,
      filesystems: ['flare'],
      slotsPerNode: 6,
      setup: ['module load x'],
      python: 'python3.12',
      directives: ['-m abe'],
    },
  ],
  [
    `globus_compute: {enabled: true, endpoint_id: ${ENDPOINT}}`,
    (s) => s.system,
    {
      name: 'globus-compute',
      kind: 'globus_compute',
      settings: {
        endpointId: ENDPOINT,
        authMethod: 'native_client',
        functionTimeoutSeconds: 3600,
        maxRetries: 2,
      },
    },
  ],
  [
    `globus_compute: {enabled: true, endpoint_id: ${ENDPOINT}, function_timeout: 5, max_retries: 7}`,
    (s) => [s.limits.trialSeconds, s.retries.infrastructure],
    [5, 7],
  ],
  [
    `globus_compute: {enabled: true, endpoint_id: ${ENDPOINT}, parallel_jobs: {max_concurrent: 12, job_spacing_seconds: 5}}`,
    (s) => [s.concurrency, s.spacingSeconds],
    [12, 5],
  ],
  [
    `globus_compute: {enabled: true, endpoint_id: ${ENDPOINT}, auth_method: client_credentials, endpoint_config_path: e.yaml, user_endpoint_config: {queue: debug, max_blocks: 2}}`,
    (s) => s.system.settings,
    {
      endpointId: ENDPOINT,
      endpointConfigPath: 'e.yaml',
      authMethod: 'client_credentials',
      functionTimeoutSeconds: 3600,
      maxRetries: 2,
      userEndpointConfig: { queue: 'debug', max_blocks: 2 },
    },
  ],
  [
    `globus_compute: {enabled: true, endpoint_id: ${ENDPOINT}, parallel_jobs: {initial_batch_size: 8, adaptive_scaling: false}}`,
    (s) => s.ramp,
    { initial: 8, isAdaptive: false },
  ],
  ['ramp: {initial: 2, adaptive: false}', (s) => s.ramp, { initial: 2, isAdaptive: false }],
  [
    'pruner: {type: median, min_steps: 2, max_steps: 30, reduction_factor: 2}',
    (s) => s.pruner,
    { type: 'median', minSteps: 2, maxSteps: 30, reductionFactor: 2, options: {} },
  ],
  ['pruner: {type: asha, max_steps: 30}', (s) => s.pruner, { type: 'asha', minSteps: 1, maxSteps: 30, reductionFactor: 3, options: {} }],
  [
    'pruner: {type: freeze_thaw, max_steps: 52}',
    (s) => s.pruner,
    { type: 'freeze_thaw', minSteps: 4, maxSteps: 52, reductionFactor: 2, options: {} },
  ],
  [
    'llm: {base_url: "https://a.example/v1", model: m, fallback: [{model: n}, {base_url: "https://b.example/v1", model: o, api_key: "env:B"}]}',
    (s) => [s.llm?.baseUrl, s.llm?.model, s.llm?.options.fallback],
    [
      'https://a.example/v1',
      'm',
      [
        { baseUrl: 'https://a.example/v1', model: 'n' },
        { baseUrl: 'https://b.example/v1', model: 'o', apiKey: 'env:B' },
      ],
    ],
  ],
  [
    'llm: {service: alcf, model: gpt-oss-120b}',
    (s) => [s.llm?.model, s.llm?.apiKey, ((s.llm?.options.fallback ?? []) as { model: string }[]).map((each) => each.model)],
    ['gpt-oss-120b', 'globus', ['openai/gpt-oss-120b', 'meta-llama/Meta-Llama-3.1-70B-Instruct', 'nemotron-3-ultra']],
  ],
];

describe('each key has its effect', () => {
  it.each(EFFECTS)('%s', (line, select, expected) => {
    expect(select(admit(line))).toEqual(expected);
  });

  it("a parameter of each type, the prototype's names included", () => {
    const spec = admit(
      `search_space:
  lr: {type: log_uniform, min: 1e-5, max: 1e-1, initial_suggestions: [1e-4, 0.01], default: 1e-3}
  dropout: {type: uniform, min: 0, max: 0.6, step: 0.1}
  epochs: {type: int_uniform, min: 5, max: 100, log: true}
  model: {type: choice, values: [resnet18, custom], weights: [3, 1]}
  hidden: {type: ordinal, values: [256, 512], when: {model: custom}, default: 512}
  flag: {type: categorical, values: [true, false]}
  classes: {type: constant, value: 100}
`.trimEnd(),
      'training: {command: train}',
    );
    expect(spec.space.parameters).toEqual([
      { name: 'lr', type: 'float', min: 1e-5, max: 0.1, log: true, suggestions: [1e-4, 0.01], default: 1e-3 },
      { name: 'dropout', type: 'float', min: 0, max: 0.6, step: 0.1 },
      { name: 'epochs', type: 'int', min: 5, max: 100, log: true },
      { name: 'model', type: 'categorical', values: ['resnet18', 'custom'], weights: [3, 1] },
      { name: 'hidden', type: 'ordinal', values: [256, 512], when: { model: ['custom'] }, default: 512 },
      { name: 'flag', type: 'categorical', values: [true, false] },
      { name: 'classes', type: 'constant', value: 100 },
    ]);
  });

  it('parents stand before their children, whatever their order in the file', () => {
    const spec = admit(
      'search_space: {b: {type: int, min: 1, max: 3, when: {a: x}}, a: {type: choice, values: [x, y]}}',
      'training: {command: train}',
    );
    expect(spec.space.parameters.map((parameter) => parameter.name)).toEqual(['a', 'b']);
  });

  it('a grid ends by itself and needs no budget', () => {
    const spec = admit('budget: {}', 'sampler: grid', 'search_space: {a: {type: int, min: 1, max: 3}}', 'training: {command: train}');
    expect(spec.budget).toEqual({});
  });

  it('constants are filled into own points', () => {
    const spec = admit(
      'search_space: {a: {type: int, min: 1, max: 3}, c: {type: constant, value: x}}',
      'enqueue: [{a: 2}]',
      'training: {command: train}',
    );
    expect(spec.enqueue).toEqual([{ c: 'x', a: 2 }]);
  });
});

describe('numbers', () => {
  it.each(['1e-5', '1E-5', '"1e-5"', "'1e-5'", '.00001', '0.00001', '+1e-05'])('%s is the number 0.00001', (written) => {
    const [lr] = admitText(GOOD_FILE.replace('1e-4', written), 'c.yaml', options).space.parameters;
    expect(lr).toMatchObject({ min: 1e-5 });
  });
});

describe('variables', () => {
  it('expand in texts, with defaults, escapes and numbers', () => {
    const spec = admit(
      'name: by $' + '{AURORA_USER} in $' + '{PLACE:-nowhere}',
      'budget: {trials: "$' + '{PARTS}"}',
      'training: {command: "run $$' + '{{x}} $' + '{HOME_DIR}/t.py"}',
    );
    expect([spec.name, spec.budget.trials, spec.training.command]).toEqual([
      'by someone in nowhere',
      12,
      ['run', '$' + '{{x}}', '/lus/x/t.py'],
    ]);
  });

  it('a key of the LLM stays a reference, so that it never enters a history', () => {
    const line = (key: string) => `llm: {base_url: "https://example.org/v1", model: m, api_key: "${key}"}`;
    expect(admit(line('env:MY_KEY')).llm?.apiKey).toBe('env:MY_KEY');
    expect(admit(line('~/.secrets/key')).llm?.apiKey).toBe('~/.secrets/key');
    expect(() => admitText(`${GOOD_FILE}${line('$' + '{AURORA_USER}')}\n`, 'c.yaml', options)).toThrow(BadSpec);
  });
});

it("a default of Globus Compute gives way to the campaign's own limit", () => {
  const spec = admit(
    `globus_compute: {enabled: true, endpoint_id: ${ENDPOINT}}`,
    'limits: {trial_seconds: 90}',
    'retries: {infrastructure: 9}',
  );
  expect([spec.limits.trialSeconds, spec.retries.infrastructure]).toEqual([90, 9]);
});

describe('a file', () => {
  it.each([
    ['with a byte order mark', `\ufeff${GOOD_FILE}`],
    ['with the line ends of Windows', GOOD_FILE.replaceAll('\n', '\r\n')],
    ['without a line end at the end', GOOD_FILE.trimEnd()],
    ['that ends with a document marker', `---\n${GOOD_FILE}...\n`],
    ['in JSON', JSON.stringify(parse(GOOD_FILE), null, '\t')],
  ])('%s is the same campaign', (_, text) => {
    expect(admitText(text, 'c.yaml', options)).toEqual(admitText(GOOD_FILE, 'c.yaml', options));
  });
});

describe('an admitted specification', () => {
  it('is the same from YAML and from JSON given inline', async () => {
    const inline = {
      name: 'good',
      objective: { metric: 'val_accuracy', direction: 'maximize' },
      search_space: {
        lr: { type: 'float', min: 1e-4, max: 0.1, log: true },
        layers: { type: 'int', min: 1, max: 8 },
        act: { type: 'categorical', values: ['relu', 'tanh', 'gelu'] },
      },
      training: { command: '{python} train.py --lr {lr}' },
      budget: { trials: 10 },
    };
    expect(await admitCampaign(inline, options)).toEqual(admitText(GOOD_FILE, 'c.yaml', options));
  });

  it('survives the way through JSON unchanged', async () => {
    const value = fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.boolean(), fc.stringMatching(/^[a-z]{1,5}$/));
    const range = fc.tuple(fc.double({ min: 1e-6, max: 1, noNaN: true }), fc.double({ min: 2, max: 1e6, noNaN: true }));
    const parameter = fc.oneof(
      range.map(([min, max]) => ({ type: 'float', min, max })),
      range.map(([min, max]) => ({ type: 'log_uniform', min, max, default: min })),
      fc
        .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 99 }))
        .map(([min, max]) => ({ type: 'int', min, max, initial_suggestions: [min, max] })),
      fc
        .uniqueArray(value, { minLength: 1, maxLength: 5 })
        .map((values) => ({ type: 'ordinal', values, weights: values.map((_, i) => i + 1) })),
      value.map((constant) => ({ type: 'constant', value: constant })),
    );
    const file = fc.record({
      objective: fc.record({ metric: fc.constantFrom('a', 'b'), direction: fc.constantFrom('maximize', 'minimize') }),
      search_space: fc.dictionary(
        fc.stringMatching(/^[a-z_]{6,9}$/).filter((name) => !(name in Object.prototype)),
        parameter,
        { minKeys: 1, maxKeys: 6 },
      ),
      training: fc.record({ command: fc.constantFrom('train', ['a', 'b c']) }),
      budget: fc.record({ trials: fc.integer({ min: 1, max: 1e6 }) }),
      concurrency: fc.integer({ min: 1, max: 400 }),
    });
    await fc.assert(
      fc.asyncProperty(file, async (source) => {
        const spec = await admitCampaign(source, options);
        expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
      }),
      { numRuns: 60 },
    );
  });
});
