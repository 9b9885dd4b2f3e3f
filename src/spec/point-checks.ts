import type { Parameter, ParameterValue, Point, Space } from '../domain/space.ts';
import { compileConstraint } from '../search/constraints.ts';
import { quote } from './issues.ts';
import { type Path, type Problem, suggest } from './problem.ts';

/** Why a parameter can never have the value; undefined when it can. */
export function cannotBe(parameter: Parameter, value: ParameterValue): string | undefined {
  switch (parameter.type) {
    case 'categorical':
    case 'ordinal':
      return parameter.values.includes(value)
        ? undefined
        : `which is not among its values ${parameter.values.map((each) => quote(each)).join(', ')}`;
    case 'constant':
      return parameter.value === value ? undefined : `but it is always ${quote(parameter.value)}`;
    default: {
      if (typeof value !== 'number') return `but it is a number`;
      if (value < parameter.min || value > parameter.max) return `but it goes from ${parameter.min} to ${parameter.max}`;
      if (parameter.type === 'int' && !Number.isInteger(value)) return 'but it is a whole number';
      const steps = parameter.step === undefined ? 0 : (value - parameter.min) / parameter.step;
      return Math.abs(steps - Math.round(steps)) < 1e-6 ? undefined : `but it goes in steps of ${parameter.step} from ${parameter.min}`;
    }
  }
}

/** What is wrong with a point that a user wrote, one problem per parameter; empty for a point of the space. */
export function problemsOfPoint(space: Space, point: Point, path: Path): Problem[] {
  const problems: Problem[] = [];
  const names = space.parameters.map((parameter) => parameter.name);
  for (const name of Object.keys(point)) {
    if (!names.includes(name)) problems.push({ path: [...path, name], what: 'is no parameter', next: suggest(name, names), atKey: true });
  }
  const active: Record<string, ParameterValue> = {};
  for (const parameter of space.parameters) {
    const { name } = parameter;
    const isActive = Object.entries(parameter.when ?? {}).every(
      ([parent, values]) => active[parent] !== undefined && values.includes(active[parent]),
    );
    const value = point[name] ?? (parameter.type === 'constant' ? parameter.value : undefined);
    if (!isActive) {
      if (point[name] !== undefined)
        problems.push({
          path: [...path, name],
          what: 'does not exist in this point (its `when` does not hold)',
          next: 'Leave it out.',
          atKey: true,
        });
    } else if (value === undefined) problems.push({ path, what: `lacks ${name}`, next: 'Give every active parameter a value.' });
    else {
      active[name] = value;
      const wrong = cannotBe(parameter, value);
      if (wrong) problems.push({ path: [...path, name], what: `is ${quote(value)}, ${wrong}` });
    }
  }
  if (problems.length > 0) return problems;
  for (const text of space.constraints ?? []) {
    if (!compileConstraint(text).holds(active)) problems.push({ path, what: `breaks the constraint "${text}"` });
  }
  return problems;
}
