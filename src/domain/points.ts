import type { Parameter, ParameterValue, Point, Space } from './space.ts';

/** A point as text that is equal for equal points: for duplicate checks. */
export function pointKey(point: Point): string {
  return JSON.stringify(
    Object.keys(point)
      .sort()
      .map((name) => [name, point[name]]),
  );
}

/** Everything wrong with a user's own point, one sentence each; empty when it lies in the space. Constraints are not looked at. */
export function pointProblems(space: Space, point: Point): string[] {
  const known = new Map(space.parameters.map((parameter) => [parameter.name, parameter]));
  const problems = Object.keys(point)
    .filter((name) => !known.has(name))
    .map((name) => `${name} is no parameter of the search space (there are: ${[...known.keys()].join(', ')}).`);
  for (const parameter of space.parameters) {
    const value = point[parameter.name];
    const isActive = Object.entries(parameter.when ?? {}).every(([parent, values]) => {
      const given = point[parent];
      return given !== undefined && values.includes(given);
    });
    if (!isActive && value !== undefined) problems.push(`${parameter.name} exists only ${condition(parameter)}.`);
    else if (isActive && value === undefined) problems.push(`${parameter.name} is missing.`);
    else if (value !== undefined) problems.push(...valueProblems(parameter, value));
  }
  return problems;
}

function valueProblems(parameter: Parameter, value: ParameterValue): string[] {
  switch (parameter.type) {
    case 'float':
    case 'int': {
      if (typeof value !== 'number' || !Number.isFinite(value))
        return [`${parameter.name} must be a number, not ${JSON.stringify(value)}.`];
      if (parameter.type === 'int' && !Number.isInteger(value)) return [`${parameter.name} must be a whole number, not ${value}.`];
      if (value < parameter.min || value > parameter.max)
        return [`${parameter.name} ${value} is outside ${parameter.min}…${parameter.max}.`];
      return [];
    }
    case 'categorical':
    case 'ordinal':
      return parameter.values.includes(value)
        ? []
        : [`${parameter.name} ${JSON.stringify(value)} is none of ${parameter.values.join(', ')}.`];
    case 'constant':
      return value === parameter.value ? [] : [`${parameter.name} is always ${parameter.value}.`];
  }
}

function condition(parameter: Parameter): string {
  return Object.entries(parameter.when ?? {})
    .map(([parent, values]) => `when ${parent} is ${values.join(' or ')}`)
    .join(' and ');
}
