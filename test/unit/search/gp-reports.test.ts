import { expect, test } from 'vitest';
import { featureMap, featuresOf } from '../../../src/search/gp/features.ts';
import { curvePriors, posteriorObjective } from '../../../src/search/gp/fit.ts';
import { addFantasy, type Hyperparameters, JITTER, posteriorOf, predict } from '../../../src/search/gp/model.ts';
import { partialResults } from '../../../src/search/partial.ts';
import { streamAt } from '../../../src/search/random-stream.ts';
import { compileSpace } from '../../../src/search/space.ts';

/** The model over configuration and step: rows of x, how far the training had come, and the share of the gains that was still ahead. */
const compiled = compileSpace({ parameters: [{ name: 'x', type: 'float', min: 0, max: 1 }] });
const map = featureMap(compiled, true);
const hyper: Hyperparameters = { logLengths: [-1, 0], logAmplitude: 0, logNoise: -4, logAdditive: -1, logGain: -1 };

/** Two trainings with three reports each and one with one; the first has ended. */
const reports = [
  [0.2, 0.3, 1],
  [0.2, 0.6, 0.5],
  [0.2, 1, 0],
  [0.7, 0.3, 1],
  [0.7, 0.6, 0.5],
  [0.7, 0.8, 0.2],
  [0.9, 0.3, 1],
];
const losses = Float64Array.from([0.4, 0.1, -0.3, 1, 0.2, -0.1, 0.5]);

/** The kernel as its definition has it. */
function kernel([x1, t1, a1]: number[], [x2, t2, a2]: number[]): number {
  const [dx, dt] = [((x1 as number) - (x2 as number)) / Math.exp(-1), (t1 as number) - (t2 as number)];
  const s = Math.sqrt(5 * (dx * dx + dt * dt));
  const additive = (Math.exp(-1) / 2) * (1 / (1 + 20 * dx * dx) + 1 / (1 + 20 * dt * dt));
  const own = x1 === x2 ? Math.exp(-1) * (a1 as number) * (a2 as number) : 0;
  return (1 + s + (s * s) / 3) * Math.exp(-s) + additive + own;
}

/** Solves A x = b by Gauss and Jordan. */
function solve(matrix: number[][], right: number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i] as number]);
  const n = rows.length;
  for (let c = 0; c < n; c++) {
    const pivot = rows[c] as number[];
    for (let r = 0; r < n; r++) {
      const row = rows[r] as number[];
      const factor = r === c ? 0 : (row[c] as number) / (pivot[c] as number);
      for (let k = c; k <= n; k++) row[k] = (row[k] as number) - factor * (pivot[k] as number);
    }
  }
  return rows.map((row, i) => (row[n] as number) / (row[i] as number));
}

test('posterior of reports: what a training gains of its own is a part of the kernel that its own reports share', () => {
  const posterior = posteriorOf(map, hyper, Float64Array.from(reports.flat()), losses, 1);
  const probes = [
    [0.7, 1, 0],
    [0.7, 0.9, 0.1],
    [0.9, 1, 0],
    [0.4, 1, 0],
    [0.9, 0.3, 1],
  ];
  const covariance = reports.map((a, i) => reports.map((b, j) => kernel(a, b) + (i === j ? Math.exp(-4) + JITTER : 0)));
  const [means, variances] = [new Float64Array(5), new Float64Array(5)];
  predict(posterior, Float64Array.from(probes.flat()), 5, means, variances);
  probes.forEach((probe, i) => {
    const k = reports.map((row) => kernel(row, probe));
    const dot = (a: readonly number[]) => a.reduce((sum, value, j) => sum + value * (k[j] as number), 0);
    expect(means[i]).toBeCloseTo(dot(solve(covariance, [...losses])), 9);
    expect(variances[i]).toBeCloseTo(kernel(probe, probe) - dot(solve(covariance, k)), 9);
  });
  // A fantasy that is itself a report tells as much as the report would.
  addFantasy(posterior, Float64Array.from(probes[1] as number[]), 0);
  const told = posteriorOf(map, hyper, Float64Array.from([...reports, probes[1] as number[]].flat()), Float64Array.from([...losses, 0]), 0);
  const [after, real] = [new Float64Array(5), new Float64Array(5)];
  predict(posterior, Float64Array.from(probes.flat()), 5, means, after);
  predict(told, Float64Array.from(probes.flat()), 5, means, real);
  for (let i = 0; i < 5; i++) expect(after[i]).toBeCloseTo(real[i] as number, 9);
});

test('first reports alone do not tell where a training ends, however many others there are', () => {
  const stream = streamAt(3, 'test', 0);
  const many = Array.from({ length: 60 }, () => [stream.next(), 0.5, 1]);
  const values = Float64Array.from(many, ([x]) => Math.sin(3 * (x as number)));
  const endOfFirst = Float64Array.from([many[0]?.[0] as number, 1, 0]);
  const variance = (logGain: number) => {
    const out = new Float64Array(1);
    predict(
      posteriorOf(map, { ...hyper, logNoise: -8, logGain }, Float64Array.from(many.flat()), values, 0),
      endOfFirst,
      1,
      new Float64Array(1),
      out,
    );
    return out[0] as number;
  };
  expect(variance(0)).toBeGreaterThan(1.05 * variance(-40));
});

test('the gradient of the density of reports agrees with differences', () => {
  const objective = posteriorObjective(map, Float64Array.from(reports.flat()), losses, curvePriors(2));
  const theta = Float64Array.from([-0.8, 0.3, 0.2, -2, -0.5, -0.7]);
  const gradient = new Float64Array(6);
  objective(theta, gradient);
  for (let i = 0; i < 6; i++) {
    const at = (h: number) =>
      objective(
        theta.map((v, k) => v + (k === i ? h : 0)),
        new Float64Array(6),
      );
    expect(gradient[i]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 5);
  }
});

test('a row of a report has its step and what the others gain in the median from there on; a point without them stands for its end', () => {
  const objective = { metric: 'loss', direction: 'minimize', reduce: 'last' } as const;
  const trial = (number: number, x: number, curve: [number, number][]) => ({
    number,
    params: { x },
    origin: 'test',
    state: 'pruned' as const,
    attempts: 1,
    createdAt: 0,
    step: curve.at(-1)?.[0] ?? 0,
    curve,
  });
  const curves: [number, number][][] = [
    [
      [1, 10],
      [3, 6],
      [7, 4],
    ],
    [
      [1, 9],
      [3, 5],
    ],
  ];
  const partial = partialResults(
    [objective],
    curves.map((curve, i) => trial(i + 1, i / 2, curve)),
    compiled,
    7,
  );
  // Gains of 4 from step 1 and of 2 from step 3 on: 6, 2 and 0 are ahead.
  const share = [1, 1 / 3, 0, 1, 1 / 3];
  const depth = [1 / 3, 2 / 3, 1, 1 / 3, 2 / 3];
  expect(partial?.codes.map(([x]) => x)).toEqual([0, 0, 0, 0.5, 0.5]);
  partial?.codes.forEach((codes, i) => {
    expect(codes[1]).toBeCloseTo(depth[i] as number, 12);
    expect(codes[2]).toBeCloseTo(share[i] as number, 12);
  });
  expect(partial?.losses).toEqual([4, 4, 4, 3, 3]);
  expect([...featuresOf(map, [partial?.codes[1] as Float64Array, Float64Array.from([0.25])])]).toEqual([
    0,
    partial?.codes[1]?.[1],
    partial?.codes[1]?.[2],
    0.25,
    1,
    0,
  ]);
});
