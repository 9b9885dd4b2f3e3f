import type * as z from 'zod';
import { suggestKey } from './moved-keys.ts';
import { type Path, type Problem, suggest } from './problem.ts';
import { valueAt } from './source.ts';

type Issue = z.core.$ZodIssue;

/** How an unknown key's issue carries the keys that are known; written by `section`, read here. */
export const KNOWN_KEYS = 'Known keys:';

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
};

/** What to write for a key that is missing, where its type alone does not say what it is for. */
const NEXT_WHERE_MISSING: Readonly<Record<string, string>> = {
  'pruner.max_steps': 'Write how many steps (epochs) a whole training has, like max_steps: 50.',
};

/** zod's issues as problems; `root` is the whole value, `base` the path of what was parsed. */
export function problemsOf(issues: readonly Issue[], root: unknown, base: Path): Problem[] {
  return issues.flatMap((issue) => problemsOfIssue(issue, root, [...base, ...(issue.path as (string | number)[])]));
}

function problemsOfIssue(issue: Issue, root: unknown, path: Path): Problem[] {
  const value = valueAt(root, path);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = issue.message.startsWith(KNOWN_KEYS) ? issue.message.slice(KNOWN_KEYS.length).trim().split(' ') : [];
      return issue.keys.map((key) => ({
        path: [...path, key],
        what: 'is not a key here',
        next: suggestKey(path, key, known),
        atKey: true,
      }));
    }
    case 'invalid_type':
      return [mismatch(path, value, TYPE_WORDS[issue.expected] ?? issue.expected)];
    case 'invalid_value':
      return [choice(path, value, issue.values.map(String))];
    case 'too_small':
    case 'too_big':
      return [outside(path, value, issue)];
    case 'invalid_union':
      return union(issue, root, path, value);
    case 'invalid_format':
      return [
        {
          path,
          what: issue.message.startsWith('Invalid')
            ? `is ${quote(value)}, but must be a ${issue.format}`
            : `is ${quote(value)}: ${issue.message}`,
        },
      ];
    case 'invalid_key':
      return issue.issues.map((inner) => ({ path, what: inner.message, atKey: true }));
    case 'custom': {
      const next = issue.params?.next;
      return [
        {
          path,
          what: issue.message,
          ...(typeof next === 'string' ? { next } : {}),
          ...(issue.params?.atKey === true ? { atKey: true } : {}),
        },
      ];
    }
    default:
      return [{ path, what: issue.message }];
  }
}

function mismatch(path: Path, value: unknown, expected: string): Problem {
  if (value === undefined) return { path, what: 'is missing', next: NEXT_WHERE_MISSING[path.join('.')] ?? `It must be ${expected}.` };
  if (value === null) return { path, what: `is empty, but must be ${expected}`, atKey: true };
  const next =
    expected === 'true or false' && typeof value === 'string'
      ? 'YAML 1.2 knows only true and false.'
      : expected === 'a list' && typeof value !== 'object'
        ? `Put it in brackets: [${String(value)}].`
        : undefined;
  return { path, what: `is ${quote(value)}, but must be ${expected}`, ...(next === undefined ? {} : { next }) };
}

function choice(path: Path, value: unknown, known: readonly string[]): Problem {
  const only = known.length === 1 ? (known[0] as string) : `one of ${known.join(', ')}`;
  if (value === undefined) return { path, what: 'is missing', next: `It must be ${only}.` };
  const what = `is ${quote(value)}, but must be ${only}`;
  const next = typeof value === 'string' ? suggest(value, known) : undefined;
  return { path, what, ...(next?.startsWith('Did') ? { next } : {}) };
}

function outside(path: Path, value: unknown, issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): Problem {
  if (issue.origin === 'string') return { path, what: 'is empty' };
  const isLow = issue.code === 'too_small';
  const bound = String(isLow ? issue.minimum : (issue as { maximum: number }).maximum);
  if (issue.origin === 'array')
    return {
      path,
      what: isLow && bound === '1' ? 'is an empty list' : `must have ${isLow ? 'at least' : 'at most'} ${bound} items`,
      atKey: true,
    };
  const words = isLow ? (issue.inclusive ? 'at least' : 'above') : issue.inclusive ? 'at most' : 'below';
  return { path, what: `is ${quote(value)}, but must be ${words} ${bound}` };
}

/** Of several forms, tells about the one that went furthest; when all fail at once, what they are together. */
function union(issue: Extract<Issue, { code: 'invalid_union' }>, root: unknown, path: Path, value: unknown): Problem[] {
  const options = (issue as { options?: readonly unknown[] }).options;
  if (issue.errors.length === 0 && options) return [choice(path, value, options.map(String))];
  const depth = (branch: readonly Issue[]) =>
    Math.max(0, ...branch.map((inner) => inner.path.length + (inner.code === 'invalid_type' && inner.path.length === 0 ? 0 : 0.5)));
  const furthest = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0];
  if (furthest && depth(furthest) > 0) return problemsOf(furthest, root, path);
  const expected = issue.errors.flatMap((branch) =>
    branch.map((inner) => (inner.code === 'invalid_type' ? (TYPE_WORDS[inner.expected] ?? inner.expected) : inner.message)),
  );
  return [mismatch(path, value, [...new Set(expected)].join(' or '))];
}

/** A value as a message shows it: texts in quotes, long ones cut. */
export function quote(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a mapping';
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? 'nothing');
  return text.length > 60 ? `${text.slice(0, 57)}…"` : text;
}
