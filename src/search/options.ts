/** A sampler's option: what it may be and what it is when the user is silent. */
export type OptionRule =
  | { readonly kind: 'boolean'; readonly default: boolean; readonly summary: string }
  | { readonly kind: 'number'; readonly default: number; readonly min: number; readonly max: number; readonly summary: string }
  | { readonly kind: 'integer'; readonly default: number; readonly min: number; readonly max: number; readonly summary: string }
  | { readonly kind: 'choice'; readonly default: string; readonly choices: readonly string[]; readonly summary: string }
  | { readonly kind: 'points'; readonly default: readonly never[]; readonly summary: string };

export type OptionTable = Readonly<Record<string, OptionRule>>;

type OptionValue<R extends OptionRule> = R extends { kind: 'boolean' }
  ? boolean
  : R extends { kind: 'choice' }
    ? string
    : R extends { kind: 'points' }
      ? readonly unknown[]
      : number;

export type Options<T extends OptionTable> = { readonly [K in keyof T]: OptionValue<T[K]> };

/**
 * The user's options by the table, with defaults filled in.
 * @throws Error naming the option, where it stands, and what was expected.
 */
export function readOptions<T extends OptionTable>(table: T, given: Readonly<Record<string, unknown>>, place = 'sampler'): Options<T> {
  for (const name of Object.keys(given)) {
    if (!(name in table))
      throw new Error(`${place}.${name} is not an option here. Known: ${Object.keys(table).sort().join(', ') || 'none'}.`);
  }
  const values: Record<string, unknown> = {};
  for (const [name, rule] of Object.entries(table)) {
    const value = given[name] ?? rule.default;
    const problem = problemOf(rule, value);
    if (problem) throw new Error(`${place}.${name} is ${JSON.stringify(value)}, but must be ${problem}.`);
    values[name] = value;
  }
  return values as Options<T>;
}

function problemOf(rule: OptionRule, value: unknown): string | undefined {
  switch (rule.kind) {
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'true or false';
    case 'choice':
      return typeof value === 'string' && rule.choices.includes(value) ? undefined : `one of ${rule.choices.join(', ')}`;
    case 'points':
      return Array.isArray(value) ? undefined : 'a list of points';
    default: {
      const isRight =
        typeof value === 'number' && value >= rule.min && value <= rule.max && (rule.kind === 'number' || Number.isInteger(value));
      return isRight ? undefined : `${rule.kind === 'integer' ? 'a whole number' : 'a number'} from ${rule.min} to ${rule.max}`;
    }
  }
}
