import type { RunRecord } from './report.ts';

const COLOURS = ['#1f4e9c', '#888888', '#c44e52', '#dd8452', '#8172b3', '#55a868', '#937860', '#4c9ac4'];
const WIDTH = 640;
const HEIGHT = 400;
const LEFT = 60;
const BOTTOM = 40;

/** Mean regret (logarithmic) after each evaluation, one line per sampler as far as all its runs go, over runs that every sampler has done, as a self-contained SVG. */
export function regretPlot(records: readonly RunRecord[], workers: number, evaluations: number): string {
  const mine = records.filter((r) => r.workers === workers);
  const samplers = [...new Set(mine.map((r) => r.sampler))];
  const keys = [...new Set(mine.map((r) => `${r.task}|${r.seed}`))];
  const of = new Map(mine.map((r) => [`${r.sampler}|${r.task}|${r.seed}`, r.regret]));
  const paired = keys.filter((key) => samplers.every((s) => of.has(`${s}|${key}`)));
  const curves = samplers.map((s) => {
    const runs = paired.map((key) => of.get(`${s}|${key}`) ?? []);
    const length = Math.min(evaluations, ...runs.map((run) => run.length));
    return Array.from({ length }, (_, i) => runs.reduce((sum, run) => sum + (run[i] as number), 0) / runs.length);
  });
  const low = Math.log10(Math.min(...curves.flat()) * 0.9);
  const top = Math.log10(1);
  const x = (i: number) => LEFT + ((WIDTH - LEFT - 150) * i) / (evaluations - 1);
  const y = (v: number) => 20 + ((HEIGHT - BOTTOM - 20) * (top - Math.log10(Math.min(1, Math.max(v, 1e-6))))) / (top - low);
  const lines = curves.map((curve, s) => {
    const points = curve.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(' ');
    const colour = COLOURS[s % COLOURS.length];
    const label = `<text x="${WIDTH - 140}" y="${34 + 18 * s}" fill="${colour}">${samplers[s]}</text>`;
    return `<polyline fill="none" stroke="${colour}" stroke-width="${samplers[s] === 'auto' ? 3 : 1.5}" points="${points}"/>${label}`;
  });
  const ticks = [1, 0.5, 0.2, 0.1, 0.05, 0.02].filter((v) => Math.log10(v) >= low);
  const axis = ticks.map(
    (v) =>
      `<text x="${LEFT - 8}" y="${y(v) + 4}" text-anchor="end">${v}</text><line x1="${LEFT}" x2="${WIDTH - 150}" y1="${y(v)}" y2="${y(v)}" stroke="#ddd"/>`,
  );
  const steps = [1, 24, 50, 100, 200]
    .filter((n) => n <= evaluations)
    .map((n) => `<text x="${x(n - 1)}" y="${HEIGHT - 20}" text-anchor="middle">${n}</text>`);
  const title = `<text x="${LEFT}" y="14">mean regret by evaluations, ${workers} workers, ${paired.length} paired runs</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>${title}${axis.join('')}${steps.join('')}${lines.join('')}</svg>\n`;
}
