import { type PresetAnswers, type PresetName, renderPreset } from './cifar-presets.ts';

/** Campaign files that `holdfast init` writes. */
export interface Preset {
  readonly summary: string;
  /** Takes system, account, queue, endpoint and data set. */
  readonly takesAnswers?: true;
  readonly text: (name: string, answers: PresetAnswers) => string;
}

const digits = (
  name: string,
) => `# A multi-layer perceptron on scikit-learn's handwritten digits: runs on this computer, needs scikit-learn, no download.
version: 1
name: ${name}
system: local

objective: {metric: val_accuracy, direction: maximize}

search_space:
  hidden_units: {type: int, min: 16, max: 256, log: true}
  hidden_layers: {type: int, min: 1, max: 3}
  learning_rate: {type: float, min: 1e-4, max: 1e-1, log: true}
  batch_size: {type: ordinal, values: [16, 32, 64, 128, 256]}
  alpha: {type: float, min: 1e-6, max: 1e-1, log: true}

training:
  bundle: remote/training/digits
  command: "{python} {code}/train.py"

budget: {trials: 24}
limits: {trial_seconds: 10m}
`;

const own = (name: string) => `# Your own training. Its last line of metrics.jsonl, or results.json, in {out} holds the metric.
version: 1
name: ${name}
system: local                        # or a profile of config/systems: aurora, polaris, …

objective: {metric: val_accuracy, direction: maximize}

search_space:
  learning_rate: {type: float, min: 1e-5, max: 1e-1, log: true}
  batch_size: {type: ordinal, values: [32, 64, 128, 256]}

training:
  bundle: train                      # folder of code that travels; {code} is where it lies on the system
  command: "{python} {code}/train.py --lr {learning_rate} --batch {batch_size} --out {out}"

budget: {trials: 50, wall_time: 6h}
stop: {patience: 20, min_delta: 0.001}
limits: {trial_seconds: 1h}
`;

const cifar = (preset: PresetName) => (name: string, answers: PresetAnswers) => renderPreset(preset, { ...answers, name });

export const PRESETS: Readonly<Record<string, Preset>> = {
  digits: { summary: 'handwritten digits on this computer, about a minute', text: digits },
  own: { summary: 'a skeleton for your own training', text: own },
  quick: { summary: 'CIFAR-100, 4 at once, 3 to 20 epochs', takesAnswers: true, text: cifar('quick') },
  standard: { summary: 'CIFAR-100, 8 at once, 5 to 50 epochs', takesAnswers: true, text: cifar('standard') },
  thorough: {
    summary: 'CIFAR-100, 8 at once, 10 to 100 epochs, networks of your own width too',
    takesAnswers: true,
    text: cifar('thorough'),
  },
};
