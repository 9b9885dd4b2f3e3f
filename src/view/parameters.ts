import type { ParameterValue, Point, Space } from '../domain/space.ts';
import { short } from './format.ts';
import { clip, displayWidth } from './width.ts';

/** What people ask about first, by name; everything else follows in the order of the space. */
const TELLING_FIRST: readonly RegExp[] = [
  /^(model|arch|architecture|network|estimator|algorithm)(_|$)/i,
  /^(lr|learning_?rate|base_lr|init_lr)/i,
  /^(batch(_?size)?|bs)$/i,
  /(^|_)(weight_?decay|wd|l2|alpha)$/i,
  /^(hidden|width|units|depth|num_layers|layers)/i,
  /dropout/i,
];

/** Parameter names in the order in which a reader wants them: telling ones first, then the space's order; constants are left out. */
export function tellingOrder(space: Space): string[] {
  const names = space.parameters.filter((parameter) => parameter.type !== 'constant').map((parameter) => parameter.name);
  return tellingNames(names);
}

/** Names with the telling ones first, the others in their order. */
export function tellingNames(names: readonly string[]): string[] {
  const rank = (name: string) => {
    const place = TELLING_FIRST.findIndex((pattern) => pattern.test(name));
    return place < 0 ? TELLING_FIRST.length : place;
  };
  return names
    .map((name, index) => ({ name, index, rank: rank(name) }))
    .sort((a, b) => a.rank - b.rank || a.index - b.index)
    .map(({ name }) => name);
}

/** `learning_rate` → `lr`, `weight_decay` → `wd`, `momentum` → `momentum`: initials of names made of several words. */
export function initials(name: string): string {
  const words = name.split(/[_.\-\s]+|(?<=[a-z])(?=[A-Z])/).filter((word) => word !== '');
  return words.length < 2 ? name : words.map((word) => (word[0] as string).toLowerCase()).join('');
}

/**
 * A point in one line of at most `most` characters, the most telling parameters first: `lr=0.0162 batch_size=64 hidden=128`.
 * Long names shrink to their initials before anything is left out; what does not fit is told by an ellipsis.
 * `order` (from `tellingOrder` or a measured importance) chooses and sorts the parameters; without it the point's own names are sorted.
 */
export function trialSummary(params: Point, most = 60, order: readonly string[] = tellingNames(Object.keys(params))): string {
  const active = order.filter((name) => Object.hasOwn(params, name));
  const pairs = (label: (name: string) => string) =>
    active.map((name) => `${label(name)}=${clip(short(params[name] as ParameterValue), 24)}`);
  const full = pairs((name) => name).join(' ');
  if (displayWidth(full) <= most) return full;

  const shortNames = active.map(initials);
  const unique = new Set(shortNames).size === shortNames.length;
  const words = pairs(unique ? initials : (name) => name);
  const all = words.join(' ');
  if (displayWidth(all) <= most) return all;
  let line = '';
  for (const word of words) {
    if (displayWidth(line) + displayWidth(word) + 1 > most - 2) break;
    line += line === '' ? word : ` ${word}`;
  }
  return line === '' ? clip(all, most) : `${line} …`;
}
