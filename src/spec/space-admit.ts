import type { Parameter, ParameterValue, Space } from '../domain/space.ts';
import { compileConstraint } from '../search/constraints.ts';
import { randomUnit } from '../search/random-stream.ts';
import { codesFromUnit, compileSpace, pointOf, satisfies } from '../search/space.ts';
import { quote } from './issues.ts';
import { cannotBe } from './point-checks.ts';
import { didYouMean, type Path, type Problem, suggest } from './problem.ts';
import type { ParameterEntry } from './space-schema.ts';

/** Points drawn to see whether the constraints leave anything of the space. */
const DRAWS = 10_000;

/** The file's parameters as a Space, parents before children; `problems` gets what is wrong with single parameters and between them. */
export function admitSpace(
  entries: Readonly<Record<string, ParameterEntry>>,
  allNames: readonly string[],
  constraints: readonly string[],
  problems: Problem[],
): Space | undefined {
  const before = problems.length;
  const parameters = Object.entries(entries).map(([name, entry]) => admitParameter(name, entry, problems));
  checkParents(parameters, allNames, problems);
  const ordered = parentsFirst(parameters, problems);
  const texts = checkConstraints(constraints, allNames, problems);
  if (problems.length > before || parameters.length < allNames.length) return undefined;
  const space: Space = { parameters: ordered, ...(texts.length === 0 ? {} : { constraints: texts }) };
  if (texts.length > 0 && !isSatisfiable(space)) {
    problems.push({
      path: ['constraints'],
      what: `no point among ${DRAWS} drawn keeps them all`,
      next: 'Loosen them, or narrow the parameters to where they hold.',
    });
  }
  return space;
}

function admitParameter(name: string, entry: ParameterEntry, problems: Problem[]): Parameter {
  const at = ['search_space', name];
  const when = entry.when === undefined ? {} : { when: entry.when };
  switch (entry.type) {
    case 'constant':
      return { name, type: 'constant', value: entry.value, ...when };
    case 'categorical':
    case 'choice':
    case 'ordinal':
      return admitList(name, entry, when, at, problems);
    default:
      return admitRange(name, entry, when, at, problems);
  }
}

type ListEntry = Extract<ParameterEntry, { values: readonly unknown[] }>;
type RangeEntry = Extract<ParameterEntry, { min: number }>;
type When = Pick<Parameter, 'when'>;

function admitList(name: string, entry: ListEntry, when: When, at: Path, problems: Problem[]): Parameter {
  const { values, weights, initialSuggestions: suggestions } = entry;
  const say = (key: string, what: string, next?: string) =>
    problems.push({ path: [...at, key], what, ...(next === undefined ? {} : { next }), atKey: true });
  if (values.length === 0) say('values', 'is an empty list', 'List at least one value.');
  values.forEach((value, index) => {
    if (values.indexOf(value) !== index)
      problems.push({
        path: [...at, 'values', index],
        what: `${quote(value)} stands here a second time`,
        next: 'Use weights to favour a value.',
      });
  });
  if (weights !== undefined) {
    if (weights.length !== values.length)
      say('weights', `has ${weights.length} weights for ${values.length} values`, 'Give one weight per value.');
    else if (weights.every((weight) => weight === 0)) say('weights', 'are all zero', 'Give at least one value a weight above 0.');
    weights.forEach((weight, index) => {
      if (weight < 0) problems.push({ path: [...at, 'weights', index], what: `is ${weight}, but must be at least 0` });
    });
  }
  const inside = (value: ParameterValue) => values.includes(value);
  checkInside(entry.default, suggestions, inside, 'which is not among the values', at, problems);
  return {
    name,
    type: entry.type === 'ordinal' ? 'ordinal' : 'categorical',
    values,
    ...(weights === undefined ? {} : { weights }),
    ...(entry.default === undefined ? {} : { default: entry.default }),
    ...(suggestions === undefined ? {} : { suggestions }),
    ...when,
  };
}

/** Widest range whose numbers can be told apart and reckoned with. */
const WIDEST = { int: Number.MAX_SAFE_INTEGER, float: Number.MAX_VALUE } as const;

function admitRange(name: string, entry: RangeEntry, when: When, at: Path, problems: Problem[]): Parameter {
  const { min, max, step, initialSuggestions: suggestions } = entry;
  const isLog = entry.type === 'log_uniform' || ('log' in entry && entry.log === true);
  if (min > max) problems.push({ path: at, what: `min ${min} is above max ${max}`, next: 'Swap them?' });
  else if (min === max)
    problems.push({ path: at, what: `min and max are both ${min}`, next: `Write {type: constant, value: ${min}} for a fixed value.` });
  else if (!(max - min <= WIDEST[entry.type === 'int' || entry.type === 'int_uniform' ? 'int' : 'float']))
    problems.push({ path: at, what: `the range from ${min} to ${max} is wider than numbers are`, next: 'Narrow it.' });
  if (isLog && min <= 0)
    problems.push({
      path: [...at, 'min'],
      what: `is ${min}, but a logarithmic scale needs a min above 0`,
      next: 'Give a small number above 0, or leave log out.',
    });
  if (step !== undefined && step <= 0) problems.push({ path: [...at, 'step'], what: `is ${step}, but must be above 0` });
  else if (step !== undefined && min < max && step > max - min)
    problems.push({ path: [...at, 'step'], what: `is ${step}, more than the range from ${min} to ${max}` });
  const onStep = (value: number) =>
    step === undefined || step <= 0 || Math.abs((value - min) / step - Math.round((value - min) / step)) < 1e-6;
  const inside = (value: ParameterValue) => typeof value === 'number' && value >= min && value <= max && onStep(value);
  const why = `which is not ${step === undefined ? '' : `a step of ${step} `}from ${min} to ${max}`;
  if (min < max) checkInside(entry.default, suggestions, inside, why, at, problems);
  return {
    name,
    type: entry.type === 'int' || entry.type === 'int_uniform' ? 'int' : 'float',
    min,
    max,
    ...(isLog ? { log: true } : {}),
    ...(step === undefined ? {} : { step }),
    ...(entry.default === undefined ? {} : { default: entry.default }),
    ...(suggestions === undefined ? {} : { suggestions }),
    ...when,
  };
}

function checkInside(
  byDefault: ParameterValue | undefined,
  suggestions: readonly ParameterValue[] | undefined,
  inside: (value: ParameterValue) => boolean,
  why: string,
  at: Path,
  problems: Problem[],
): void {
  if (byDefault !== undefined && !inside(byDefault)) problems.push({ path: [...at, 'default'], what: `is ${quote(byDefault)}, ${why}` });
  suggestions?.forEach((value, index) => {
    if (!inside(value)) problems.push({ path: [...at, 'initial_suggestions', index], what: `is ${quote(value)}, ${why}` });
  });
}

function checkParents(parameters: readonly Parameter[], allNames: readonly string[], problems: Problem[]): void {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  for (const { name, when } of parameters) {
    for (const [parent, values] of Object.entries(when ?? {})) {
      const path = ['search_space', name, 'when', parent];
      if (!allNames.includes(parent)) {
        problems.push({ path, what: 'is no parameter', next: suggest(parent, allNames), atKey: true });
        continue;
      }
      const known = byName.get(parent);
      values.forEach((value) => {
        const wrong = known && cannotBe(known, value);
        const near = known && 'values' in known && typeof value === 'string' ? didYouMean(value, known.values.map(String)) : undefined;
        if (wrong) problems.push({ path, what: `asks for ${quote(value)}, ${wrong}`, ...(near === undefined ? {} : { next: near }) });
      });
    }
  }
}

/** Parents before children, the file's order otherwise; a cycle is a problem. */
function parentsFirst(parameters: readonly Parameter[], problems: Problem[]): Parameter[] {
  const names = new Set(parameters.map((parameter) => parameter.name));
  const ordered: Parameter[] = [];
  let rest = [...parameters];
  while (rest.length > 0) {
    const placed = new Set(ordered.map((parameter) => parameter.name));
    const next = rest.find(({ when }) => Object.keys(when ?? {}).every((parent) => placed.has(parent) || !names.has(parent)));
    if (next === undefined) {
      const circle = rest.map((parameter) => parameter.name);
      problems.push({
        path: ['search_space', circle[0] as string, 'when'],
        what: `goes round in a circle: ${circle.join(', ')}`,
        next: 'One of them must exist without the others.',
      });
      return [...parameters];
    }
    ordered.push(next);
    rest = rest.filter((parameter) => parameter !== next);
  }
  return ordered;
}

function checkConstraints(texts: readonly string[], allNames: readonly string[], problems: Problem[]): string[] {
  return texts.filter((text, index) => {
    const path = ['constraints', index];
    try {
      const unknown = compileConstraint(text).names.filter((name) => !allNames.includes(name));
      for (const name of unknown) problems.push({ path, what: `names ${name}, which is no parameter`, next: suggest(name, allNames) });
      return unknown.length === 0;
    } catch (error) {
      problems.push({
        path,
        what: error instanceof Error ? error.message : String(error),
        next: 'For example: "batch_size * hidden_units <= 65536".',
      });
      return false;
    }
  });
}

function isSatisfiable(space: Space): boolean {
  const compiled = compileSpace(space);
  for (let index = 0; index < DRAWS; index++) {
    if (satisfies(compiled, pointOf(compiled, codesFromUnit(compiled, randomUnit(1, index, compiled.dimensions.length))))) return true;
  }
  return false;
}
