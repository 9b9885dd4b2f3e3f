import type { Objective } from '../domain/campaign.ts';
import { short, xml } from './format.ts';
import { isBetter } from './ranking.ts';

/** Mid-tone colours that keep a contrast of 3:1 on white and on black: the Web UI has both, and a chart cannot ask which. */
export const CHART_COLOURS = { trials: '#4a8fe7', best: '#e8710a', failed: '#d65c7a', text: '#808890', grid: '#80889055' } as const;

const WIDTH = 640;
const HEIGHT = 200;
const LEFT = 52;
const RIGHT = 12;
const TOP = 22;
const BOTTOM = 24;
const MOST_POINTS = 300;
const MOST_STEPS = 120;

export interface ChartTrial {
  readonly number: number;
  /** The objective; absent for a trial that failed. */
  readonly value?: number;
}

/**
 * All trials and the best so far over the trial's number, as one line of inline SVG of at most 8 kB (the stock Web UI renders it; it blocks data URIs).
 * Values far below the rest are drawn on the edge: one diverged training must not flatten the chart. Undefined without a value.
 */
export function convergenceChart(trials: readonly ChartTrial[], objective: Objective): string | undefined {
  const points = trials.filter((trial): trial is Required<ChartTrial> => trial.value !== undefined && Number.isFinite(trial.value));
  if (points.length === 0) return undefined;
  const last = Math.max(2, trials.at(-1)?.number ?? 2);
  const y = scale(
    robustRange(
      points.map((point) => point.value),
      objective.direction,
    ),
    HEIGHT - BOTTOM,
    TOP,
  );
  const x = scale([1, last], LEFT, WIDTH - RIGHT);

  const best: [number, number][] = [];
  for (const { number, value } of points) {
    const top = best.at(-1);
    if (top === undefined || isBetter(value, top[1], objective.direction)) best.push([number, value]);
  }
  const steps = thin(best, MOST_STEPS);
  const stair = steps
    .map(([number, value], index) => (index === 0 ? `M${x.at(number)} ${y.at(value)}` : `H${x.at(number)}V${y.at(value)}`))
    .join('');
  const failed = thin(
    trials.filter((trial) => trial.value === undefined),
    60,
  );
  return svg(`Best ${objective.metric} so far over trials`, [
    axes(x, y),
    `<path d="${thin(points, MOST_POINTS)
      .map((point) => `M${x.at(point.number)} ${y.at(point.value)}h0`)
      .join('')}" stroke="${CHART_COLOURS.trials}" stroke-width="5" stroke-linecap="round" fill="none" opacity=".75"/>`,
    failed.length === 0
      ? ''
      : `<path d="${failed.map((trial) => `M${x.at(trial.number)} ${HEIGHT - BOTTOM}v-6`).join('')}" stroke="${CHART_COLOURS.failed}" stroke-width="2"/>`,
    `<path d="${stair}H${WIDTH - RIGHT}" stroke="${CHART_COLOURS.best}" stroke-width="2" fill="none"/>`,
    legend([
      [CHART_COLOURS.best, 'best so far'],
      [CHART_COLOURS.trials, objective.metric],
      ...(failed.length === 0 ? [] : [[CHART_COLOURS.failed, 'failed'] as const]),
    ]),
  ]);
}

/** One learning curve, [step, value], as one line of inline SVG. Undefined for fewer than two points. */
export function curveChart(curve: readonly (readonly [number, number])[], label: string): string | undefined {
  const points = thin(
    curve.filter(([, value]) => Number.isFinite(value)),
    MOST_STEPS,
  );
  const first = points[0];
  const final = points.at(-1);
  if (first === undefined || final === undefined || points.length < 2) return undefined;
  const values = points.map(([, value]) => value);
  const x = scale([first[0], final[0]], LEFT, WIDTH - RIGHT);
  const y = scale([Math.min(...values), Math.max(...values)], HEIGHT - BOTTOM, TOP);
  const line = points.map(([step, value], index) => `${index === 0 ? 'M' : 'L'}${x.at(step)} ${y.at(value)}`).join('');
  return svg(`${label} over steps`, [
    axes(x, y),
    `<path d="${line}" stroke="${CHART_COLOURS.trials}" stroke-width="2" fill="none"/>`,
    `<path d="M${x.at(final[0])} ${y.at(final[1])}h0" stroke="${CHART_COLOURS.best}" stroke-width="7" stroke-linecap="round"/>`,
    legend([[CHART_COLOURS.trials, label]]),
  ]);
}

/** A bar of `share` between 0 and 1, for slots in use. */
export function barChart(share: number, label: string): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * 300);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 420 22" width="420" role="img" aria-label="${xml(label)}">` +
    `<rect x="0" y="4" width="300" height="14" rx="3" fill="${CHART_COLOURS.grid}"/><rect x="0" y="4" width="${filled}" height="14" rx="3" fill="${CHART_COLOURS.trials}"/>` +
    `<text x="308" y="15" font-size="12" font-family="sans-serif" fill="${CHART_COLOURS.text}">${xml(label)}</text></svg>`
  );
}

interface Scale {
  readonly domain: readonly [number, number];
  readonly at: (value: number) => number;
}

function scale(domain: readonly [number, number], from: number, to: number): Scale {
  const [low, high] = domain[0] === domain[1] ? [domain[0] - 0.5, domain[1] + 0.5] : domain;
  return {
    domain: [low, high],
    at: (value) => {
      const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
      return Math.round(from + share * (to - from));
    },
  };
}

/** From the worst value worth seeing to the best one: of ten values and more, the worst tenth may fall off the chart when it lies far away. */
function robustRange(values: readonly number[], direction: Objective['direction']): [number, number] {
  const sorted = [...thin(values, 2000)].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
  let [low, high] = [Math.min(...sorted), Math.max(...sorted)];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (sorted.length < 10) return [low, high];
  return direction === 'maximize'
    ? [Math.max(low, high - 1.5 * (high - at(0.1))), high]
    : [low, Math.min(high, low + 1.5 * (at(0.9) - low))];
}

/** Every k-th element so that at most `most` are left; the last one always is. */
export function thin<T>(items: readonly T[], most: number): readonly T[] {
  if (items.length <= most) return items;
  const step = (items.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, index) => items[Math.round(index * step)] as T);
}

function axes(x: Scale, y: Scale): string {
  const rows = [0, 0.5, 1].map((share) => {
    const value = y.domain[0] + share * (y.domain[1] - y.domain[0]);
    const height = y.at(value);
    return `<path d="M${LEFT} ${height}H${WIDTH - RIGHT}" stroke="${CHART_COLOURS.grid}"/>${text(LEFT - 6, height + 4, short(Number(value.toPrecision(3))), 'end')}`;
  });
  const [first, last] = x.domain;
  const marks = [first, Math.round((first + last) / 2), last].map((value, index) =>
    text(x.at(value), HEIGHT - 8, short(value), (['start', 'middle', 'end'] as const)[index] ?? 'end'),
  );
  return rows.join('') + marks.join('');
}

function legend(entries: readonly (readonly [colour: string, label: string])[]): string {
  let left = LEFT;
  return entries
    .map(([colour, label]) => {
      const mark = `<rect x="${left}" y="5" width="10" height="10" rx="2" fill="${colour}"/>${text(left + 15, 14, label, 'start')}`;
      left += 30 + label.length * 7;
      return mark;
    })
    .join('');
}

function text(x: number, y: number, words: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${xml(words)}</text>`;
}

function svg(title: string, parts: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="100%" ` +
    `font-family="sans-serif" font-size="12" fill="${CHART_COLOURS.text}" role="img" aria-label="${xml(title)}">${parts.join('')}</svg>`
  );
}
