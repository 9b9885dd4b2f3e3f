import { expect, test } from 'vitest';
import type { Space } from '../../../src/domain/space.ts';
import type { TrialRow } from '../../../src/domain/trial.ts';
import { featureMap, featuresOf } from '../../../src/search/gp/features.ts';
import { follow } from '../../../src/search/gp/followed.ts';
import { posteriorOf, predict, predictBounds, predictMeans } from '../../../src/search/gp/model.ts';
import { trendAt, trendOf, withoutTrend } from '../../../src/search/gp/trend.ts';
import { streamAt } from '../../../src/search/random-stream.ts';
import { samplerEntry } from '../../../src/search/registry.ts';
import { codesFromUnit, codesOf, compileSpace } from '../../../src/search/space.ts';
import { request, row } from './spaces.ts';

const square = compileSpace({ parameters: ['a', 'b', 'c'].map((name) => ({ name, type: 'float', min: 0, max: 1 })) });
const map = featureMap(square);
const stream = streamAt(3, 'test', 0);
const points = Array.from({ length: 12 }, () => codesFromUnit(square, [stream.next(), stream.next(), stream.next()]));
const features = featuresOf(map, points);
const losses = Float64Array.from(points, ([a, b, c]) => 2 * (a as number) - (b as number) + Math.sin(9 * (c as number)));

test('slopes solve the normal equations of a ridge regression about the middle of the ranges', () => {
  const slopes = trendOf(map, features, losses);
  expect(slopes).toHaveLength(3);
  // Xᵀ(y - Xw) = w, the ridge's weight being 1.
  const rest = withoutTrend(map, slopes, features, losses);
  slopes.forEach((slope, k) => {
    const pull = rest.reduce((sum, r, i) => sum + r * ((features[i * map.stride + k] as number) - 0.5), 0);
    expect(pull).toBeCloseTo(slope, 10);
  });
  expect(slopes[0]).toBeGreaterThan(0.3);
  expect(slopes[1]).toBeLessThan(-0.1);
});

test('an inactive parameter and a category have no part in it', () => {
  const compiled = compileSpace({
    parameters: [
      { name: 'optimizer', type: 'categorical', values: ['adam', 'sgd'] },
      { name: 'momentum', type: 'float', min: 0, max: 1, when: { optimizer: ['sgd'] } },
    ],
  });
  const mixed = featureMap(compiled);
  const rows = featuresOf(mixed, [codesOf(compiled, { optimizer: 'adam' }), codesOf(compiled, { optimizer: 'sgd', momentum: 0.9 })]);
  const slopes = trendOf(mixed, rows, Float64Array.of(-1, 1));
  expect(slopes).toHaveLength(1);
  expect(trendAt(slopes, rows, 0)).toBe(0);
  expect(trendAt(slopes, rows, mixed.stride)).toBeCloseTo(0.4 * (slopes[0] as number), 12);
});

test('where nothing was tried the posterior falls back to the plane, and at the results it stands at them', () => {
  const slopes = trendOf(map, features, losses);
  const hyper = { logLengths: [-4, -4, -4], logAmplitude: 0, logNoise: -12, logAdditive: -12 };
  const posterior = posteriorOf(map, hyper, features, losses, 1, slopes);
  const known = predictMeans(posterior, features, points.length);
  known.forEach((mean, i) => {
    expect(mean).toBeCloseTo(losses[i] as number, 3);
  });
  const corner = featuresOf(map, [codesFromUnit(square, [0.999, 0.001, 0.999])]);
  const plane = trendAt(slopes, corner, 0);
  expect(Math.abs(plane)).toBeGreaterThan(0.3);
  const means = new Float64Array(1);
  const variances = new Float64Array(1);
  predict(posterior, corner, 1, means, variances);
  expect(means[0]).toBeCloseTo(plane, 6);
  const bounded = new Float64Array(1);
  predictBounds(posterior, corner, 1, bounded, variances);
  expect(bounded[0]).toBe(means[0]);
  expect(predictMeans(posterior, corner, 1)[0]).toBe(means[0]);
  expect(follow(posterior, corner).mean).toBeCloseTo(means[0] as number, 12);
});

test('with many trials running a few results that lie on a plane send the next points to its lower end', () => {
  const space: Space = { parameters: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) => ({ name, type: 'float', min: 0, max: 1 })) };
  const sum = (params: TrialRow['params']) => Object.values(params).reduce<number>((total, value) => total + Number(value), 0);
  const means = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => {
    const sobol = samplerEntry('sobol').sampler(request(space, { count: 64, seed })).suggestions;
    const trials = sobol.map(({ params, origin }, i): TrialRow => ({ ...row(i + 1, params, i < 12 ? sum(params) : undefined), origin }));
    const { suggestions } = samplerEntry('auto').sampler(request(space, { trials, count: 8, seed }));
    return suggestions.reduce((total, { params }) => total + sum(params), 0) / 8;
  });
  // Without the trend: 1.64. The parameters of a random point sum up to 4.
  expect(means.reduce((a, b) => a + b) / means.length).toBeLessThan(1.3);
});
