/** What a point of a search space is made of. Pure types: used by workflows, samplers, views and the configuration alike. */

/** One value of one hyperparameter. */
export type ParameterValue = string | number | boolean;

/** A point: the active parameters only. A parameter whose `when` does not hold has no key. */
export type Point = Readonly<Record<string, ParameterValue>>;

/** Parent parameter → the values with which the child exists. All parents must match. */
export type Condition = Readonly<Record<string, readonly ParameterValue[]>>;

interface ParameterBase {
  readonly name: string;
  readonly when?: Condition;
  /** The user's default: the first point that is tried when every active parameter has one. */
  readonly default?: ParameterValue;
  /** Values the user thinks good; initial random designs take one of them half of the time. */
  readonly suggestions?: readonly ParameterValue[];
}

export interface FloatParameter extends ParameterBase {
  readonly type: 'float';
  readonly min: number;
  readonly max: number;
  /** Uniform in the logarithm; min > 0. */
  readonly log?: boolean;
  /** Grid of allowed values: min + k * step. */
  readonly step?: number;
}

export interface IntParameter extends ParameterBase {
  readonly type: 'int';
  readonly min: number;
  readonly max: number;
  readonly log?: boolean;
  readonly step?: number;
}

export interface CategoricalParameter extends ParameterBase {
  readonly type: 'categorical';
  readonly values: readonly ParameterValue[];
  /** Same length as `values`, non-negative, not all zero; need not sum to 1. */
  readonly weights?: readonly number[];
}

/** Values in their order, e.g. [32, 64, 128]: neighbours are alike. */
export interface OrdinalParameter extends ParameterBase {
  readonly type: 'ordinal';
  readonly values: readonly ParameterValue[];
  readonly weights?: readonly number[];
}

export interface ConstantParameter extends ParameterBase {
  readonly type: 'constant';
  readonly value: ParameterValue;
}

export type Parameter = FloatParameter | IntParameter | CategoricalParameter | OrdinalParameter | ConstantParameter;

/** A boolean expression over parameters, e.g. `batch_size * hidden_size <= 262144`, kept as text; src/search/constraints.ts reads it. */
export type Constraint = string;

export interface Space {
  /** Parents stand before their children. */
  readonly parameters: readonly Parameter[];
  readonly constraints?: readonly Constraint[];
}
