import { type OptionTable, readOptions } from '../search/options.ts';
import { type Path, type Problem, suggest } from './problem.ts';

/** Checks the options of a sampler, pruner or stop rule by its table, each by itself; gives on those that are right. */
export function admitOptions(
  table: OptionTable,
  given: Readonly<Record<string, unknown>>,
  path: Path,
  ownKeys: readonly string[],
  problems: Problem[],
): Record<string, unknown> {
  const admitted: Record<string, unknown> = {};
  for (const [key, raw] of Object.entries(given)) {
    const rule = Object.hasOwn(table, key) ? table[key] : undefined;
    if (rule === undefined) {
      problems.push({
        path: [...path, key],
        what: 'is not a key here',
        next: suggest(key, [...new Set([...Object.keys(table), ...ownKeys])]),
        atKey: true,
      });
      continue;
    }
    const isNumber = rule.kind === 'number' || rule.kind === 'integer';
    const value = isNumber && typeof raw === 'string' && raw.trim() !== '' && Number.isFinite(Number(raw)) ? Number(raw) : raw;
    try {
      readOptions({ [key]: rule }, { [key]: value });
      admitted[key] = value;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const next = rule.kind === 'choice' && typeof value === 'string' ? suggest(value, rule.choices) : undefined;
      problems.push({
        path: [...path, key],
        what: message.replace(/^sampler\.\S+ /, '').replace(/\.$/, ''),
        ...(next?.startsWith('Did') ? { next } : {}),
      });
    }
  }
  return admitted;
}
