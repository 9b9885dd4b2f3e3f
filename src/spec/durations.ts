const UNIT_SECONDS: Readonly<Record<string, number>> = {
  s: 1,
  sec: 1,
  secs: 1,
  second: 1,
  seconds: 1,
  m: 60,
  min: 60,
  mins: 60,
  minute: 60,
  minutes: 60,
  h: 3600,
  hr: 3600,
  hrs: 3600,
  hour: 3600,
  hours: 3600,
  d: 86_400,
  day: 86_400,
  days: 86_400,
  w: 604_800,
  week: 604_800,
  weeks: 604_800,
};

/**
 * Seconds of a duration: `90`, `'90'`, `'90s'`, `'1.5h'`, `'1d 6h'`, `'01:30:00'` (hours, minutes, seconds) or `'2-00:00:00'` (days first).
 * Undefined for anything else.
 */
export function parseDuration(value: number | string): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  const text = value.trim().toLowerCase();
  const clock = /^(?:(\d+)-)?(\d+):([0-5]?\d):([0-5]?\d)$/.exec(text);
  if (clock) return Number(clock[1] ?? 0) * 86_400 + Number(clock[2]) * 3600 + Number(clock[3]) * 60 + Number(clock[4]);
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  if (!/^(\d+(\.\d+)?\s*[a-z]+\s*)+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)) {
    const factor = UNIT_SECONDS[unit as string];
    if (factor === undefined) return undefined;
    seconds += Number(amount) * factor;
  }
  return seconds;
}

/** 3600 → `1 h`, 5400 → `1.5 h`, 90 → `90 s`, 604800 → `7 d`. */
export function formatDuration(seconds: number): string {
  const [factor, unit] = seconds >= 172_800 ? [86_400, 'd'] : seconds >= 3600 ? [3600, 'h'] : seconds >= 120 ? [60, 'min'] : [1, 's'];
  return `${Number((seconds / factor).toPrecision(4))} ${unit}`;
}
