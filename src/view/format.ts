/** How numbers, times and words stand in everything people look at: four significant digits, ages as "3 h". */

import { displayWidth, visible } from './width.ts';

/** A measured value with four significant digits, trailing zeros kept so that columns line up: 0.35 → `0.3500`, 12345.6 → `12346`. */
export function measured(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3);
  return size >= 1000 ? value.toFixed(0) : value.toPrecision(4);
}

/** A value as short as four significant digits allow: 0.35 → `0.35`, 1e-5 → `1e-5`, whole numbers below a milliard in full. Text stays on one line. */
export function short(value: unknown): string {
  if (typeof value !== 'number') return visible(String(value));
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) {
    const [mantissa = '0', exponent = '0'] = value.toExponential(3).split('e');
    return `${Number(mantissa)}e${Number(exponent)}`;
  }
  return String(Number(value.toPrecision(4)));
}

const UNITS: readonly (readonly [unit: string, seconds: number])[] = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
];

/** Seconds in one unit, rounded: `12 s`, `3 min`, `3 h`, `4 d`. Negative and unknown times read `0 s`. */
export function age(seconds: number): string {
  const known = Number.isFinite(seconds) ? Math.max(0, Math.round(seconds)) : 0;
  const row = UNITS.find(([, size]) => known >= (size === 86_400 ? 2 * size : size)) ?? (['s', 1] as const);
  return `${Math.round(known / row[1])} ${row[0]}`;
}

/** Seconds in two units: `48 s`, `2 min 5 s`, `3 h 12 min`, `1 d 4 h`. */
export function duration(seconds: number): string {
  const known = Number.isFinite(seconds) ? Math.max(0, Math.round(seconds)) : 0;
  const first = UNITS.findIndex(([, size]) => known >= size);
  if (first < 0) return '0 s';
  const [unit, size] = UNITS[first] as readonly [string, number];
  const second = UNITS[first + 1];
  const whole = Math.floor(known / size);
  const rest = second === undefined ? 0 : Math.floor((known - whole * size) / second[1]);
  return rest === 0 || second === undefined ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${second[0]}`;
}

/** An instant for people anywhere: `2026-11-23 14:05 UTC`. Milliseconds since the epoch. */
export function instant(milliseconds: number): string {
  return Number.isFinite(milliseconds) ? `${new Date(milliseconds).toISOString().slice(0, 16).replace('T', ' ')} UTC` : 'unknown';
}

/** A share between 0 and 1 as `93 %`. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** `1 trial`, `2 trials`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Text from elsewhere as one line of Markdown that reads as written: no markup, no HTML, no line breaks. */
export function plain(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/([\\`*<>[\]])/g, '\\$1');
}

/** Text inside an SVG. */
export function xml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[character] ?? '&quot;');
}

/** Rows of cells as lines with aligned columns; numeric-looking columns are right-aligned. The first row is the head. */
export function columns(table: readonly (readonly string[])[], gap = '  '): string[] {
  const count = Math.max(0, ...table.map((row) => row.length));
  const shape = Array.from({ length: count }, (_, column) => {
    const cells = table.map((row) => row[column] ?? '');
    const body = cells.slice(1).filter((cell) => cell !== '');
    return {
      width: Math.max(0, ...cells.map(displayWidth)),
      right: body.length > 0 && body.every((cell) => /^[-+]?[\d.,]+(e[-+]?\d+)?( (%|s|min|h|d))?$|^(NaN|-?Infinity|–)$/.test(cell)),
    };
  });
  return table.map((row) =>
    shape
      .map(({ width, right }, column) => {
        const cell = row[column] ?? '';
        const padding = ' '.repeat(width - displayWidth(cell));
        return right ? padding + cell : cell + padding;
      })
      .join(gap)
      .trimEnd(),
  );
}

/** Markdown with room below: the Web UI cuts the last lines of current details off (UI 2.42: its frame is some 35 pixels too low). */
export function withMargin(markdown: string): string {
  return `${markdown}\n\n\u00a0\n\n\u00a0`;
}
