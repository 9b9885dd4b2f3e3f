import type { Path, Problem } from './problem.ts';
import { isMapping } from './source.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const VARIABLE = /\$\$\{|\$\{([^}]*)\}/g;

/**
 * The value with `${NAME}` in its texts replaced from the environment (row C13). `${NAME:-other}` gives the other when NAME is not set, `$${` stays `${`.
 * A name that is not set is a problem with its place.
 */
export function expandVariables(value: unknown, environment: Environment, problems: Problem[], path: Path = []): unknown {
  if (typeof value === 'string') return expandText(value, environment, problems, path);
  if (Array.isArray(value)) return value.map((item, index) => expandVariables(item, environment, problems, [...path, index]));
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, expandVariables(inner, environment, problems, [...path, key])]),
  );
}

function expandText(text: string, environment: Environment, problems: Problem[], path: Path): string {
  return text.replace(VARIABLE, (whole: string, inside: string | undefined) => {
    if (inside === undefined) return whole.slice(1);
    const match = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/.exec(inside);
    if (!match) {
      problems.push({
        path,
        what: `${whole} is no variable`,
        next: 'Write a name of letters, digits and _ in it, or two dollar signs for the characters themselves.',
      });
      return '';
    }
    const [, name, otherwise] = match;
    const found = environment[name as string];
    if (found !== undefined && found !== '') return found;
    if (otherwise !== undefined) return otherwise;
    problems.push({
      path,
      what: `the environment variable ${name} is not set`,
      next: `Set it (export ${name}=…) where the worker runs, or write the value.`,
    });
    return '';
  });
}
