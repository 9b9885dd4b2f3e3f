import type { Problem } from './problem.ts';

/** Two spellings of one thing: the one that is given, or a problem when both are and differ. */
export function one<T>(a: T | undefined, pathA: string[], b: T | undefined, pathB: string[], problems: Problem[]): T | undefined {
  if (a !== undefined && b !== undefined && JSON.stringify(a) !== JSON.stringify(b)) {
    problems.push({
      path: pathA,
      what: `is ${JSON.stringify(a)}, but ${pathB.join('.')} is ${JSON.stringify(b)}`,
      next: 'They mean the same: keep one.',
    });
  }
  return a ?? b;
}
