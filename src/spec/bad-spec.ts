import { type PlacedProblem, problemText } from './problem.ts';

/** A campaign file or a profile that cannot be used: all of its problems at once. Never retried: only its owner can mend it. */
export class BadSpec extends Error {
  readonly code = 'HF-SPEC';
  readonly problems: readonly PlacedProblem[];
  constructor(source: string, problems: readonly PlacedProblem[]) {
    const lines = problems.map(problemText);
    super(
      lines.length === 1 ? (lines[0] as string) : `${source} has ${lines.length} problems:\n${lines.map((line) => `- ${line}`).join('\n')}`,
    );
    this.name = 'BadSpec';
    this.problems = problems;
  }
}
