import * as z from 'zod';
import { integer, number, text } from './scalars.ts';
import { section } from './section.ts';

/** One value of a parameter as a file writes it. */
export const parameterValue = () => z.union([z.number(), z.boolean(), z.string()]);

const condition = () =>
  z
    .record(z.string(), z.union([z.array(parameterValue()).min(1), parameterValue()]))
    .transform((when) =>
      Object.fromEntries(Object.entries(when).map(([parent, values]) => [parent, Array.isArray(values) ? values : [values]])),
    )
    .meta({ description: 'Other parameters and the values with which this one exists: {optimizer: sgd} or {optimizer: [sgd, nesterov]}' });

const numeric = (value: () => z.ZodType<number>) => ({
  min: value(),
  max: value(),
  step: value().exactOptional().meta({ description: 'Only min, min + step, min + 2 step, …' }),
  default: value().exactOptional().meta({ description: 'Tried first, when every active parameter has a default' }),
  initial_suggestions: z
    .array(value())
    .exactOptional()
    .meta({ description: 'Good values: initial random points take one of them half of the time' }),
  when: condition().exactOptional(),
});

const log = z.boolean().exactOptional().meta({ description: 'Uniform in the logarithm; min must be above 0' });

const listed = {
  values: z.array(parameterValue()),
  weights: z.array(number()).exactOptional().meta({ description: 'One per value, not all zero; they need not sum to 1' }),
  default: parameterValue().exactOptional(),
  initial_suggestions: z.array(parameterValue()).exactOptional(),
  when: condition().exactOptional(),
};

const FLOAT = section({ type: z.enum(['float', 'uniform']), ...numeric(number), log });
const LOG_FLOAT = section({ type: z.literal('log_uniform'), ...numeric(number) });
const INT = section({ type: z.enum(['int', 'int_uniform']), ...numeric(integer), log });
const CATEGORICAL = section({ type: z.enum(['categorical', 'choice']), ...listed });
const ORDINAL = section({ type: z.literal('ordinal'), ...listed });
const CONSTANT = section({ type: z.literal('constant'), value: parameterValue(), when: condition().exactOptional() });

/** Every key that a parameter of some type has. */
export const PARAMETER_KEYS: readonly string[] = ['type', ...Object.keys({ ...numeric(number), log, ...listed }), 'value'];

/** One parameter; the prototype's names (uniform, log_uniform, int_uniform, choice) are taken for float, float with log, int and categorical. */
export const parameterSchema = z.discriminatedUnion('type', [FLOAT, LOG_FLOAT, INT, CATEGORICAL, ORDINAL, CONSTANT]);

export type ParameterEntry = z.output<typeof parameterSchema>;

/** The mapping under `search_space`: name → parameter. Each parameter is parsed by itself, so that one mistake hides no other. */
export const searchSpaceSchema = z
  .record(text().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is no name: letters, digits and _ only, as in a Python variable'), parameterSchema)
  .meta({ description: 'Hyperparameters by name' });
