import { type CampaignSections, campaignShape } from './campaign-schema.ts';
import { problemsOf } from './issues.ts';
import { suggestKey, suggestTopKey } from './moved-keys.ts';
import type { Path, Problem } from './problem.ts';
import { isMapping } from './source.ts';
import { PARAMETER_KEYS, type ParameterEntry, parameterSchema } from './space-schema.ts';

/** The sections of a file that are right by themselves; one that is absent or wrong has no key or no value. */
export type Sections = Partial<CampaignSections>;

/** Each section by itself, so that a mistake in one hides none in another. */
export function parseSections(root: Readonly<Record<string, unknown>>, problems: Problem[]): Sections {
  for (const key of Object.keys(root)) {
    if (!Object.hasOwn(campaignShape, key))
      problems.push({ path: [key], what: 'is not a key here', next: suggestTopKey(key, Object.keys(campaignShape)), atKey: true });
  }
  const sections: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(campaignShape)) {
    if (key === 'search_space') {
      sections[key] = parseParameters(root[key], root, problems);
      continue;
    }
    const parsed = schema.safeParse(root[key]);
    if (parsed.success) sections[key] = parsed.data;
    else problems.push(...withForm(problemsOf(parsed.error.issues, root, [key]), FORMS[key]?.(root[key])));
  }
  return sections as Sections;
}

/** How what was written in short is written, by section. */
const FORMS: Readonly<Record<string, (given: unknown) => string | undefined>> = {
  budget: (given) => (typeof given === 'number' ? `Write {trials: ${given}}.` : undefined),
  objective: (given) => (typeof given === 'string' ? `Write {metric: ${given}, direction: maximize} (or minimize).` : undefined),
  pruner: (given) =>
    typeof given === 'string' ? `Write {type: ${given}, max_steps: 50}, with the steps (epochs) of a whole training.` : undefined,
  training: (given) => (typeof given === 'string' ? `Write {command: ${JSON.stringify(given)}}.` : undefined),
};

/** The same for a parameter: a list is a choice, a single value a constant. */
function formOfParameter(given: unknown): string | undefined {
  const isValue = (value: unknown) => ['string', 'number', 'boolean'].includes(typeof value);
  if (isValue(given)) return `Write {type: constant, value: ${JSON.stringify(given)}}.`;
  if (!Array.isArray(given) || given.length === 0 || !given.every(isValue)) return undefined;
  const isOrdered = given.every((value, index) => typeof value === 'number' && (index === 0 || value > given[index - 1]));
  return `Write {type: ${isOrdered ? 'ordinal' : 'categorical'}, values: [${given.map((value) => JSON.stringify(value)).join(', ')}]}.`;
}

function withForm(problems: readonly Problem[], form: string | undefined): Problem[] {
  return problems.map((problem) => (form === undefined ? problem : { ...problem, next: form }));
}

function parseParameters(
  given: unknown,
  root: Readonly<Record<string, unknown>>,
  problems: Problem[],
): Record<string, ParameterEntry> | undefined {
  if (!isMapping(given) || Object.keys(given).length === 0) {
    const isEmpty = given === null || isMapping(given);
    const what = given === undefined ? 'is missing' : isEmpty ? 'is empty' : 'must be a mapping of parameters';
    problems.push({
      path: ['search_space'],
      what,
      next: 'Write one entry per hyperparameter, like "lr: {type: float, min: 1e-4, max: 0.1, log: true}".',
      atKey: true,
    });
    return undefined;
  }
  const entries: Record<string, ParameterEntry> = {};
  for (const [name, entry] of Object.entries(given)) {
    const path = ['search_space', name];
    const isName = /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !(name in Object.prototype);
    if (!isName)
      problems.push({ path, what: 'is no name for a parameter', next: 'Use letters, digits and _, as in a Python variable.', atKey: true });
    const { adaptive, ...rest } = isMapping(entry) ? entry : {};
    if (adaptive !== undefined) {
      problems.push({
        path: [...path, 'adaptive'],
        what: 'had no effect in the prototype and is not a key here',
        next: 'Remove it; a pruner adapts the number of epochs.',
        atKey: true,
      });
    }
    const parsed = parameterSchema.safeParse(isMapping(entry) ? rest : entry);
    if (parsed.success) {
      entries[name] = parsed.data;
      continue;
    }
    const { issues } = parsed.error;
    problems.push(...withForm(problemsOf(issues, root, path), formOfParameter(entry)));
    if (issues.some((issue) => issue.path[0] === 'type')) problems.push(...strangeKeys(rest, path));
    const unknown = issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? issue.keys : []));
    // Without the keys that are told already: a range that is upside down is found all the same.
    const others = parameterSchema.safeParse(Object.fromEntries(Object.entries(rest).filter(([key]) => !unknown.includes(key))));
    if (others.success) entries[name] = others.data;
  }
  return entries;
}

/** Of a parameter whose type is not known: keys that no type has. */
function strangeKeys(entry: Readonly<Record<string, unknown>>, path: Path): Problem[] {
  return Object.keys(entry)
    .filter((key) => !PARAMETER_KEYS.includes(key))
    .map((key) => ({ path: [...path, key], what: 'is not a key here', next: suggestKey(path, key, PARAMETER_KEYS), atKey: true }));
}

/** A secret written into a campaign file would stand in the workflow's history for ever. */
export function checkSecrets(raw: Readonly<Record<string, unknown>>, problems: Problem[]): void {
  if (!isMapping(raw.llm)) return;
  const others = Array.isArray(raw.llm.fallback) ? raw.llm.fallback : [];
  const places = [{ of: raw.llm, at: ['llm'] }, ...others.map((of: unknown, index) => ({ of, at: ['llm', 'fallback', index] }))];
  for (const { of, at } of places) {
    const key = isMapping(of) ? of.api_key : undefined;
    if (typeof key !== 'string' || isReference(key)) continue;
    problems.push({
      path: [...at, 'api_key'],
      what: 'must not hold the key itself: it would stand in the history',
      next: 'Write env:NAME or the name of a file.',
    });
  }
}

function isReference(key: string): boolean {
  const isFile = !key.includes('$') && /[/~.]/.test(key) && !/^sk-/.test(key);
  return key === 'globus' || /^env:[A-Za-z_][A-Za-z0-9_]*$/.test(key) || isFile;
}
