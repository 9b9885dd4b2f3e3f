import { closest, distance } from 'fastest-levenshtein';

export type Path = readonly (string | number)[];

/** One thing wrong in a file, told so that its owner can mend it. */
export interface Problem {
  /** Where in the mapping: ['search_space', 'lr', 'min']. */
  readonly path: Path;
  /** What is wrong, to be read after the path: `min 0.1 is above max 0.01`. No full stop. */
  readonly what: string;
  /** What to do next, a full sentence. */
  readonly next?: string;
  /** Point at the key instead of its value. */
  readonly atKey?: boolean;
}

export interface PlacedProblem {
  readonly path: string;
  readonly what: string;
  readonly next?: string;
  readonly file?: string;
  /** From 1. */
  readonly line?: number;
  readonly column?: number;
}

/** `['search_space', 'lr', 'values', 2]` → `search_space.lr.values[2]`. */
export function pathText(path: Path): string {
  return path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`), '');
}

/** `search_space.lr: min 0.1 is above max 0.01 (config/campaigns/x.yaml:14:5). Swap them?` */
export function problemText(problem: PlacedProblem): string {
  const place =
    problem.file === undefined ? '' : ` (${[problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(':')})`;
  const subject = problem.path === '' ? '' : `${problem.path}: `;
  return `${subject}${problem.what}${place}.${problem.next === undefined ? '' : ` ${problem.next}`}`;
}

/** `Did you mean "relu"?` when one of the known words is near enough; undefined otherwise. */
export function didYouMean(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const folded = new Map(known.map((each) => [each.toLowerCase().replaceAll('-', '_'), each]));
  const wanted = word.toLowerCase().replaceAll('-', '_');
  const near = [...folded.keys()].find((each) => isVariant(wanted, each)) ?? closest(wanted, [...folded.keys()]);
  const isNear = isVariant(wanted, near) || distance(wanted, near) <= Math.max(1, Math.floor(Math.max(wanted.length, near.length) / 3));
  return isNear ? `Did you mean "${folded.get(near)}"?` : undefined;
}

/** Abbreviated, spelt out, or with letters exchanged: `integer` and `int`, `otu` and `out`. */
function isVariant(a: string, b: string): boolean {
  const letters = (word: string) => [...word].sort().join('');
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return (short.length >= 3 && long.startsWith(short)) || (a.length >= 3 && letters(a) === letters(b));
}

/** The nearest known word, or the list of all when none is near. */
export function suggest(word: string, known: readonly string[]): string {
  return didYouMean(word, known) ?? (known.length === 0 ? 'Remove it.' : `Known: ${known.join(', ')}.`);
}
