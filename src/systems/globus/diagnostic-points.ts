import type { Point } from '../../domain/space.ts';

export const MODELS = ['resnet18', 'resnet34', 'resnet50', 'vgg16', 'densenet121', 'custom'] as const;

/** Random settings of training n (row V2): the same seed gives the same table on every computer (mulberry32). */
export function randomTraining(seed: number, number: number, epochs: number): Point {
  const random = mulberry32(Math.imul(seed, 0x9e3779b1) ^ number);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const logUniform = (low: number, high: number) => Number((low * (high / low) ** random()).toPrecision(4));
  const model = pick(MODELS);
  return {
    model_type: model,
    learning_rate: logUniform(1e-4, 1e-2),
    batch_size: pick([32, 64, 128]),
    dropout_rate: Number((0.1 + 0.4 * random()).toFixed(3)),
    weight_decay: logUniform(1e-5, 1e-3),
    num_epochs: epochs,
    ...(model === 'custom' ? { hidden_size: pick([512, 1024, 2048]), num_layers: pick([2, 3, 4]) } : {}),
  };
}

function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const BOUNDS: Readonly<Record<string, readonly [low: number, high: number]>> = {
  learning_rate: [1e-6, 1],
  dropout_rate: [0, 0.8],
  hidden_size: [1, 4_096],
  num_layers: [1, 10],
  num_epochs: [1, 10_000],
  batch_size: [1, 4_096],
};

/** Settings outside of what the training takes (row V3), each in words. */
export function trainingProblems(point: Point): string[] {
  const outside = Object.entries(BOUNDS).flatMap(([name, [low, high]]) => {
    const value = point[name];
    if (value === undefined) return [];
    return typeof value === 'number' && value >= low && value <= high ? [] : [`${name} ${value} is outside ${low} to ${high}`];
  });
  const model = point.model_type;
  return model === undefined || MODELS.includes(model as (typeof MODELS)[number])
    ? outside
    : [...outside, `model_type ${model} is none of ${MODELS.join(', ')}`];
}
