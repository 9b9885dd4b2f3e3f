import { stringify } from 'yaml';

/** One preset of `holdfast init` (rows X2, L2): how careful and how long a first campaign on CIFAR-100 is. */
export interface Preset {
  readonly concurrency: number;
  readonly initialConcurrency: number;
  readonly initialSamples: number;
  readonly patience: number;
  readonly exploitationRamp: number;
  readonly minExploration: number;
  readonly epochs: readonly [min: number, max: number];
  readonly models: readonly string[];
  readonly spacingSeconds: number;
  readonly minDelta: number;
  readonly trials: number;
  /** The rest of the search space; models and epochs are the preset's own. */
  readonly space: Readonly<Record<string, object>>;
}

/** The prototype's space (row L1). */
const GUIDE_SPACE = {
  learning_rate: { type: 'float', min: 1e-5, max: 0.1, log: true, initial_suggestions: [1e-4, 5e-4, 1e-3, 5e-3, 1e-2], default: 1e-3 },
  batch_size: { type: 'ordinal', values: [32, 64, 128, 256], weights: [0.1, 0.3, 0.4, 0.2], default: 128 },
  dropout_rate: { type: 'float', min: 0, max: 0.6, initial_suggestions: [0.1, 0.2, 0.3, 0.4, 0.5], default: 0.2 },
  weight_decay: { type: 'float', min: 1e-6, max: 1e-2, log: true, initial_suggestions: [1e-5, 1e-4, 1e-3], default: 1e-4 },
};

/** The space that the prototype's agents had built in (row L2), with the last two parameters only where they act. */
const BUILT_IN_SPACE = {
  learning_rate: { type: 'float', min: 1e-5, max: 0.1, log: true, default: 1e-3 },
  batch_size: { type: 'ordinal', values: [32, 64, 128, 256], default: 128 },
  dropout_rate: { type: 'float', min: 0.1, max: 0.5, default: 0.2 },
  weight_decay: { type: 'float', min: 1e-6, max: 1e-3, log: true, default: 1e-4 },
  hidden_size: { type: 'ordinal', values: [512, 1024, 2048], default: 1024, when: { model_type: 'custom' } },
  num_layers: { type: 'int', min: 2, max: 4, default: 3, when: { model_type: 'custom' } },
};

const SHARED = { spacingSeconds: 3, minDelta: 0.002, trials: 20 } as const;

export const PRESETS = {
  quick: {
    ...SHARED,
    concurrency: 4,
    initialConcurrency: 2,
    initialSamples: 5,
    patience: 8,
    exploitationRamp: 0.1,
    minExploration: 0.3,
    epochs: [3, 20],
    models: ['resnet18', 'resnet34'],
    space: GUIDE_SPACE,
  },
  standard: {
    ...SHARED,
    concurrency: 8,
    initialConcurrency: 4,
    initialSamples: 10,
    patience: 15,
    exploitationRamp: 0.05,
    minExploration: 0.2,
    epochs: [5, 50],
    models: ['resnet18', 'resnet34', 'vgg16', 'densenet121'],
    space: GUIDE_SPACE,
  },
  thorough: {
    ...SHARED,
    concurrency: 8,
    initialConcurrency: 4,
    initialSamples: 10,
    patience: 15,
    exploitationRamp: 0.05,
    minExploration: 0.2,
    epochs: [10, 100],
    models: ['resnet18', 'resnet34', 'vgg16', 'densenet121', 'custom'],
    space: BUILT_IN_SPACE,
  },
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof PRESETS;

/** What `holdfast init` has asked; everything absent is left as the preset's own. */
export interface PresetAnswers {
  readonly name?: string;
  /** Name of a system's profile. */
  readonly system?: string;
  readonly account?: string;
  readonly queue?: string;
  /** Globus Compute instead of a named system. */
  readonly endpointId?: string;
  readonly dataDir?: string;
  readonly llm?: { readonly baseUrl: string; readonly model: string; readonly apiKey?: string };
  /** Where the JSON Schema lies, seen from the file. */
  readonly schema?: string;
}

/** The text of a campaign file that is admitted as it is (apart from systems that need an account). */
export function renderPreset(name: PresetName, answers: PresetAnswers = {}): string {
  const preset: Preset = PRESETS[name];
  const head = [
    `# yaml-language-server: $schema=${answers.schema ?? '../campaign.schema.json'}`,
    `# CIFAR-100, preset "${name}". \`holdfast validate <this file>\` checks it; docs/campaign-file.md explains every key.`,
  ];
  const sections = [
    { version: 1, name: answers.name ?? `cifar100-${name}` },
    where(answers, preset),
    { objective: { metric: 'val_auc', direction: 'maximize' } },
    { search_space: searchSpace(preset) },
    { sampler: { type: 'auto', initial_points: preset.initialSamples } },
    ...(answers.llm ? [{ llm: llmBlock(answers.llm, preset) }] : []),
    {
      training: {
        bundle: 'remote/training/cifar100',
        command: '{python} {code}/train.py',
        data_dir: answers.dataDir ?? 'data/cifar-100-python',
      },
    },
    { budget: { trials: preset.trials } },
    { stop: { patience: preset.patience, min_delta: preset.minDelta, rule: 'windowed' } },
  ];
  return `${[head.join('\n'), ...sections.map((section) => stringify(section, { lineWidth: 0, flowCollectionPadding: false }).trimEnd())].join('\n\n')}\n`;
}

/** The system and how many trials at once; for Globus Compute in the guide's own block. */
function where(answers: PresetAnswers, preset: Preset): object {
  if (answers.endpointId !== undefined) {
    const parallelJobs = {
      max_concurrent: preset.concurrency,
      initial_batch_size: preset.initialConcurrency,
      adaptive_scaling: true,
      job_spacing_seconds: preset.spacingSeconds,
    };
    return { globus_compute: { enabled: true, endpoint_id: answers.endpointId, parallel_jobs: parallelJobs } };
  }
  const system = answers.account === undefined && answers.queue === undefined ? (answers.system ?? 'local') : settings(answers);
  return { system, concurrency: preset.concurrency, ramp: { initial: preset.initialConcurrency }, spacing: preset.spacingSeconds };
}

function settings({ system = 'local', account, queue }: PresetAnswers): object {
  return { name: system, ...(account === undefined ? {} : { account }), ...(queue === undefined ? {} : { queue }) };
}

function llmBlock({ baseUrl, model, apiKey }: NonNullable<PresetAnswers['llm']>, preset: Preset): object {
  return {
    base_url: baseUrl,
    model,
    ...(apiKey === undefined ? {} : { api_key: apiKey }),
    initial_samples: preset.initialSamples,
    exploitation_ramp: preset.exploitationRamp,
    min_exploration: preset.minExploration,
  };
}

function searchSpace({ epochs: [min, max], models, space }: Preset): object {
  return { model_type: { type: 'categorical', values: models }, num_epochs: { type: 'int', min, max }, ...space };
}
