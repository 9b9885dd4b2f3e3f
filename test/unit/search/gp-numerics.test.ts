import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { featureMap } from '../../../src/search/gp/features.ts';
import { posteriorObjective } from '../../../src/search/gp/fit.ts';
import { addFantasy, type Hyperparameters, JITTER, posteriorOf, predict } from '../../../src/search/gp/model.ts';
import { erfcx, logExpectedImprovement, normalCdf, normalQuantile } from '../../../src/search/gp/normal.ts';
import { warpLosses } from '../../../src/search/gp/warp.ts';
import { streamAt } from '../../../src/search/random-stream.ts';
import { compileSpace } from '../../../src/search/space.ts';

const fixture = (name: string) => JSON.parse(readFileSync(`test/fixtures/search/${name}.json`, 'utf8'));
const unit = (name: string) => ({ name, type: 'float', min: 0, max: 1 }) as const;
const map3 = featureMap(compileSpace({ parameters: [unit('a'), unit('b'), unit('c')] }));

test('posterior mean and variance are those of scikit-learn', () => {
  const f = fixture('gp');
  const hyper = { logLengths: f.lengths.map(Math.log), logAmplitude: Math.log(f.amplitude), logNoise: Math.log(f.noise), logAdditive: -40 };
  const posterior = posteriorOf(map3, hyper, Float64Array.from(f.x.flat()), Float64Array.from(f.y), 0);
  const means = new Float64Array(20);
  const variances = new Float64Array(20);
  predict(posterior, Float64Array.from(f.candidates.flat()), 20, means, variances);
  for (let i = 0; i < 20; i++) {
    expect(means[i]).toBeCloseTo(f.mean[i], 9);
    expect(variances[i]).toBeCloseTo(f.variance[i], 8);
  }
});

test('marginal likelihood and its gradient are those of scikit-learn', () => {
  const f = fixture('gp');
  const flat = { length: [0, 1e9], amplitude: [0, 1e9], noise: [0, 1e9], additive: [0, 1e9] } as const;
  const objective = posteriorObjective(map3, Float64Array.from(f.x.flat()), Float64Array.from(f.y), flat);
  const theta = Float64Array.from([...f.lengths.map(Math.log), Math.log(f.amplitude), Math.log(f.noise), -40]);
  const gradient = new Float64Array(6);
  const value = objective(theta, gradient);
  expect(-value - 15 * Math.log(2 * Math.PI)).toBeCloseTo(f.log_marginal_likelihood, 7);
  const [amplitude, l1, l2, l3, noise] = f.gradient;
  [l1, l2, l3, amplitude, noise].forEach((g, i) => {
    expect(-(gradient[i] as number)).toBeCloseTo(g, 6);
  });
});

test('the gradient of the posterior density agrees with differences, categories and priors included', () => {
  const compiled = compileSpace({ parameters: [unit('a'), { name: 'k', type: 'categorical', values: ['x', 'y', 'z'] }] });
  const stream = streamAt(1, 'test', 0);
  const features = Float64Array.from({ length: 50 }, (_, i) => (i % 2 ? stream.integer(3) : stream.next()));
  const losses = Float64Array.from({ length: 25 }, () => stream.normal());
  const objective = posteriorObjective(featureMap(compiled), features, losses, {
    length: [0.7, 1.7],
    amplitude: [0, 1],
    noise: [-5, 2],
    additive: [0, 1],
  });
  const theta = Float64Array.from([-0.4, 0.3, 0.2, -2, -0.5]);
  const gradient = new Float64Array(5);
  objective(theta, gradient);
  for (let i = 0; i < 5; i++) {
    const at = (h: number) =>
      objective(
        theta.map((v, k) => v + (k === i ? h : 0)),
        new Float64Array(5),
      );
    expect(gradient[i]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 4);
  }
});

test('a fantasy is the same as a result at the posterior mean', () => {
  const stream = streamAt(2, 'test', 0);
  const hyper: Hyperparameters = { logLengths: [-1, 0, 0.5], logAmplitude: 0.2, logNoise: -4, logAdditive: -0.3 };
  const rows = Float64Array.from({ length: 60 }, () => stream.next());
  const losses = Float64Array.from({ length: 20 }, () => stream.normal());
  const added = Float64Array.from({ length: 9 }, () => stream.next());
  const grown = posteriorOf(map3, hyper, rows, losses, 3);
  const imagined = new Float64Array(3);
  predict(grown, added, 3, imagined, new Float64Array(3));
  for (let i = 0; i < 3; i++) addFantasy(grown, added, i * 3);
  const whole = posteriorOf(map3, hyper, Float64Array.from([...rows, ...added]), Float64Array.from([...losses, ...imagined]), 0);
  const probes = Float64Array.from({ length: 30 }, () => stream.next());
  const [m1, v1, m2, v2] = [0, 1, 2, 3].map(() => new Float64Array(10)) as [Float64Array, Float64Array, Float64Array, Float64Array];
  predict(grown, probes, 10, m1, v1);
  predict(whole, probes, 10, m2, v2);
  for (let i = 0; i < 10; i++) {
    expect(m1[i]).toBeCloseTo(m2[i] as number, 9);
    expect(v1[i]).toBeCloseTo(v2[i] as number, 9);
  }
  expect(JITTER).toBeGreaterThan(0);
});

test('equal points do not break the factorisation', () => {
  const rows = new Float64Array(30).fill(0.5);
  const hyper: Hyperparameters = { logLengths: [0, 0, 0], logAmplitude: 3, logNoise: -40, logAdditive: -40 };
  const posterior = posteriorOf(
    map3,
    hyper,
    rows,
    Float64Array.from({ length: 10 }, (_, i) => i),
    0,
  );
  const means = new Float64Array(1);
  predict(posterior, rows, 1, means, new Float64Array(1));
  expect(means[0]).toBeCloseTo(4.5, 2);
});

test('log expected improvement holds to ten digits from u = -10⁵ to 40', () => {
  const f = fixture('log_ei');
  f.u.forEach((u: number, i: number) => {
    expect(Math.abs(logExpectedImprovement(u) / f.log_ei[i] - 1)).toBeLessThan(1e-9);
  });
});

test('erfcx, the normal distribution and its quantiles are those of SciPy', () => {
  const f = fixture('log_ei');
  f.x.forEach((x: number, i: number) => {
    expect(Math.abs(erfcx(x) / f.erfcx[i] - 1)).toBeLessThan(1e-12);
  });
  f.p.forEach((p: number, i: number) => {
    expect(Math.abs(normalQuantile(p) - f.quantile[i])).toBeLessThan(1e-9);
    if (p > 1e-100) expect(Math.abs(normalCdf(normalQuantile(p)) / p - 1)).toBeLessThan(1e-9);
  });
});

test('warping keeps the order, makes failures as bad as the worst, and does not let a diverged training flatten the rest', () => {
  const warped = warpLosses([0.1, 0.2, 0.3, 0.4, 1e9, Number.NaN, 0.35, 0.35]);
  const order = [0, 1, 2, 6, 7, 3, 4, 5];
  for (let i = 1; i < order.length; i++)
    expect(warped[order[i] as number]).toBeGreaterThanOrEqual(warped[order[i - 1] as number] as number);
  expect(warped[5]).toBe(warped[4]);
  expect(warped[6]).toBe(warped[7]);
  expect((warped[1] as number) - (warped[0] as number)).toBeGreaterThan(0.2);
  expect([...warpLosses([5, 5, 5])]).toEqual([0, 0, 0]);
  expect([...warpLosses([Number.NaN, Number.NaN])]).toEqual([0, 0]);
});
