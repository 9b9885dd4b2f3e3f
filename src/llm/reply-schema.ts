import type { Parameter, Space } from '../domain/space.ts';

type Schema = Readonly<Record<string, unknown>>;

/** JSON schema of the answer (row L12): `count` points over the space, each with one line of reasoning, and a note. Strict mode of OpenAI: every key required. */
export function replySchema(space: Space, count: number): Schema {
  const free = space.parameters.filter((parameter) => parameter.type !== 'constant');
  const params = object(Object.fromEntries(free.map((parameter) => [parameter.name, valueSchema(parameter)])));
  const point = object({ params, reasoning: { type: 'string' } });
  return object({ points: { type: 'array', items: point, minItems: 1, maxItems: count }, note: { type: 'string' } });
}

function object(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

/** A parameter that may be absent may be null. */
function valueSchema(parameter: Parameter): Schema {
  const schema = plainSchema(parameter);
  return parameter.when === undefined ? schema : { anyOf: [schema, { type: 'null' }] };
}

function plainSchema(parameter: Parameter): Schema {
  switch (parameter.type) {
    case 'constant':
      return { enum: [parameter.value] };
    case 'categorical':
    case 'ordinal':
      return { enum: parameter.values };
    case 'int':
      return { type: 'integer', minimum: parameter.min, maximum: parameter.max };
    case 'float':
      return { type: 'number', minimum: parameter.min, maximum: parameter.max };
  }
}
