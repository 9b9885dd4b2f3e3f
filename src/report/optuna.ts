import type { Parameter, ParameterValue } from '../domain/space.ts';
import type { TrialRow } from '../domain/trial.ts';
import type { ReportInput } from './input.ts';

/**
 * The campaign as a journal file of Optuna (`optuna.storages.journal.JournalFileBackend`), one study with every trial, so that optuna-dashboard and
 * Optuna's plots open it. Format: Optuna's `storages/journal/_storage.py`, operations CREATE_STUDY (0), SET_STUDY_USER_ATTR (2), CREATE_TRIAL (4).
 * Optuna counts trials from 0; `user_attrs.holdfast_trial` keeps our number. Constants are user attributes, since Optuna knows no such parameter.
 */
export function toOptunaJournal(input: ReportInput): string {
  const { spec } = input;
  const parameters = new Map(spec.space.parameters.map((parameter) => [parameter.name, parameter]));
  const lines: object[] = [
    {
      op_code: 0,
      worker_id: 'holdfast',
      study_name: input.campaign,
      directions: spec.objectives.map(({ direction }) => (direction === 'minimize' ? 1 : 2)),
    },
    { op_code: 2, worker_id: 'holdfast', study_id: 0, user_attr: { holdfast_status: input.status } },
    { op_code: 3, worker_id: 'holdfast', study_id: 0, system_attr: { 'study:metric_names': spec.objectives.map(({ metric }) => metric) } },
    ...input.rows.map((row) => trialLog(row, parameters)),
  ];
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** Optuna's TrialState. A pruned or cancelled trial has no values there, only its curve. */
const STATES: Readonly<Record<TrialRow['state'], number>> = {
  queued: 4,
  offered: 4,
  running: 0,
  completed: 1,
  pruned: 2,
  failed: 3,
  cancelled: 3,
};

function trialLog(row: TrialRow, parameters: ReadonlyMap<string, Parameter>): object {
  const params: Record<string, number> = {};
  const distributions: Record<string, string> = {};
  const constants: Record<string, ParameterValue> = {};
  for (const [name, value] of Object.entries(row.params)) {
    const parameter = parameters.get(name);
    const encoded = parameter && encode(parameter, value);
    if (encoded === undefined) constants[name] = value;
    else {
      params[name] = encoded.value;
      distributions[name] = JSON.stringify(encoded.distribution);
    }
  }
  const values = row.state === 'completed' ? row.values : undefined;
  return {
    op_code: 4,
    worker_id: 'holdfast',
    study_id: 0,
    state: values === undefined && row.state === 'completed' ? STATES.failed : STATES[row.state],
    value: values?.length === 1 ? values[0] : null,
    values: values !== undefined && values.length > 1 ? values : null,
    datetime_start: row.state === 'queued' || row.state === 'offered' ? null : time(startOf(row)),
    ...(row.finishedAt === undefined ? {} : { datetime_complete: time(row.finishedAt) }),
    params,
    distributions,
    user_attrs: {
      holdfast_trial: row.number,
      origin: row.origin,
      attempts: row.attempts,
      ...constants,
      ...(row.synthetic === undefined ? {} : { synthetic: row.synthetic }),
      ...(row.note === undefined ? {} : { note: row.note }),
      ...(row.failure === undefined ? {} : { failure_class: row.failure.class, failure: row.failure.message }),
    },
    system_attrs: {},
    intermediate_values: Object.fromEntries((row.curve ?? []).map(([step, value]) => [String(step), value])),
  };
}

function startOf(row: TrialRow): number {
  return row.finishedAt === undefined || row.runSeconds === undefined
    ? row.createdAt
    : Math.max(row.createdAt, row.finishedAt - row.runSeconds * 1000);
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000+00:00');
}

interface Encoded {
  readonly value: number;
  readonly distribution: { readonly name: string; readonly attributes: Readonly<Record<string, unknown>> };
}

/** A value as Optuna stores it: numbers as they are, choices by index. Undefined for constants and for a value outside the choices. */
function encode(parameter: Parameter, value: ParameterValue): Encoded | undefined {
  switch (parameter.type) {
    case 'float':
    case 'int': {
      if (typeof value !== 'number') return undefined;
      const { log = false } = parameter;
      const name = parameter.type === 'float' ? 'FloatDistribution' : 'IntDistribution';
      // Optuna refuses log together with a step.
      const step = parameter.type === 'float' ? (log ? null : (parameter.step ?? null)) : log ? 1 : (parameter.step ?? 1);
      const low = Math.min(parameter.min, value);
      const high = Math.max(parameter.max, value);
      return { value, distribution: { name, attributes: { step, low, high, log } } };
    }
    case 'categorical':
    case 'ordinal': {
      const index = parameter.values.indexOf(value);
      return index < 0
        ? undefined
        : { value: index, distribution: { name: 'CategoricalDistribution', attributes: { choices: parameter.values } } };
    }
    case 'constant':
      return undefined;
  }
}
