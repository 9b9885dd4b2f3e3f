import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { z } from 'zod';
import { parsePythonJson } from '../domain/python-json.ts';
import { packageRoot } from '../package-root.ts';
import { type ForeignDirection, type ForeignResults, type ForeignTrial, UnreadableResults } from './foreign-trial.ts';

/** Operations of Optuna's journal (optuna/storages/journal/_storage.py, class JournalOperation) that say something about results. */
const OPERATIONS = {
  createStudy: 0,
  deleteStudy: 1,
  studySystemAttribute: 3,
  createTrial: 4,
  trialParam: 5,
  trialState: 6,
  trialUserAttribute: 8,
} as const;

/** Optuna's TrialState.COMPLETE and StudyDirection.MINIMIZE. */
const COMPLETE = 1;
const MINIMIZE = 1;

type Direction = ForeignDirection['direction'];

interface JournalStudy {
  readonly name: string;
  readonly directions: readonly Direction[];
  metricNames?: readonly string[];
  isDeleted: boolean;
}

interface JournalTrial {
  readonly study: number;
  readonly number: number;
  readonly params: Record<string, unknown>;
  state: number;
  values: readonly unknown[];
  /** What the study's owner noted with the trial: here metrics are found that are no objectives. */
  readonly attributes: Record<string, unknown>;
}

const line = z.looseObject({
  op_code: z.int(),
  study_id: z.int().optional(),
  trial_id: z.int().optional(),
  study_name: z.string().optional(),
  directions: z.array(z.int()).optional(),
  system_attr: z.record(z.string(), z.unknown()).optional(),
  params: z.record(z.string(), z.number()).optional(),
  distributions: z.record(z.string(), z.string()).optional(),
  param_name: z.string().optional(),
  param_value_internal: z.number().optional(),
  distribution: z.string().optional(),
  state: z.int().optional(),
  value: z.number().nullish(),
  values: z.array(z.number().nullable()).nullish(),
  user_attr: z.record(z.string(), z.unknown()).optional(),
  user_attrs: z.record(z.string(), z.unknown()).optional(),
});

/** One study of a journal file (`JournalFileBackend`); without a name the only one. Ids are counted as Optuna does when it replays. Throws UnreadableResults. */
export function readOptunaJournal(text: string, file: string, study?: string): ForeignResults {
  const studies: JournalStudy[] = [];
  const trials: JournalTrial[] = [];
  text.split('\n').forEach((content, index) => {
    if (content.trim() === '') return;
    const parsed = line.safeParse(jsonOf(content, `${file}:${index + 1}`));
    if (!parsed.success) throw new UnreadableResults(`${file}:${index + 1} is no line of an Optuna journal.`);
    apply(parsed.data, studies, trials);
  });
  const present = studies.map((each, id) => ({ ...each, id })).filter((each) => !each.isDeleted);
  const chosen = chooseStudy(present, file, study);
  return {
    directions: directionsOf(chosen.directions, chosen.metricNames),
    trials: trials
      .filter((trial) => trial.study === chosen.id)
      .map(
        ({ number, params, state, values, attributes }): ForeignTrial => ({
          from: `${chosen.name} trial ${number}`,
          params,
          values: named(values, chosen.metricNames),
          metrics: attributes,
          isComplete: state === COMPLETE && values.length > 0,
        }),
      ),
  };
}

function apply(entry: z.output<typeof line>, studies: JournalStudy[], trials: JournalTrial[]): void {
  const { study_id: study, trial_id: id } = entry;
  switch (entry.op_code) {
    case OPERATIONS.createStudy:
      // A second creation of a name is an error that Optuna reports to its caller and leaves out when it replays.
      if (!studies.some(({ name, isDeleted }) => name === entry.study_name && !isDeleted))
        studies.push({
          name: entry.study_name ?? '',
          directions: (entry.directions ?? []).map((direction) => (direction === MINIMIZE ? 'minimize' : 'maximize')),
          isDeleted: false,
        });
      return;
    case OPERATIONS.deleteStudy: {
      const deleted = studies[study ?? -1];
      if (deleted !== undefined) deleted.isDeleted = true;
      return;
    }
    case OPERATIONS.studySystemAttribute: {
      const names = entry.system_attr?.['study:metric_names'];
      const owner = studies[study ?? -1];
      if (owner !== undefined && Array.isArray(names)) owner.metricNames = names.map(String);
      return;
    }
    case OPERATIONS.createTrial: {
      if (study === undefined || studies[study] === undefined || studies[study].isDeleted) return;
      const params = Object.entries(entry.params ?? {}).map(([name, value]) => [name, external(value, entry.distributions?.[name])]);
      trials.push({
        study,
        number: trials.filter((trial) => trial.study === study).length,
        params: Object.fromEntries(params),
        state: entry.state ?? 0,
        values: valuesOf(entry),
        attributes: { ...entry.user_attrs },
      });
      return;
    }
    case OPERATIONS.trialParam: {
      const trial = trials[id ?? -1];
      if (trial !== undefined && entry.param_name !== undefined && entry.param_value_internal !== undefined)
        trial.params[entry.param_name] = external(entry.param_value_internal, entry.distribution);
      return;
    }
    case OPERATIONS.trialState: {
      const trial = trials[id ?? -1];
      if (trial === undefined) return;
      trial.state = entry.state ?? trial.state;
      trial.values = valuesOf(entry);
      return;
    }
    case OPERATIONS.trialUserAttribute:
      Object.assign(trials[id ?? -1]?.attributes ?? {}, entry.user_attr);
      return;
    default:
  }
}

function valuesOf({ value, values }: z.output<typeof line>): readonly unknown[] {
  return values ?? (value == null ? [] : [value]);
}

function jsonOf(content: string, where: string): unknown {
  try {
    // An objective that was infinite stands there as Python writes it.
    return parsePythonJson(content);
  } catch (cause) {
    throw new UnreadableResults(`${where} is no JSON.`, { cause });
  }
}

const distributionSchema = z.looseObject({ name: z.string(), attributes: z.looseObject({ choices: z.array(z.unknown()).optional() }) });

/** Optuna stores categories by their place, everything else as the number itself. */
function external(value: number, distribution: string | undefined): unknown {
  if (distribution === undefined) return value;
  const read = distributionSchema.safeParse(JSON.parse(distribution));
  const choices = read.success && read.data.name === 'CategoricalDistribution' ? read.data.attributes.choices : undefined;
  return choices === undefined ? value : choices[value];
}

function named(values: readonly unknown[], names: readonly string[] | undefined): ForeignTrial['values'] {
  return names === undefined || names.length !== values.length ? values : Object.fromEntries(names.map((name, at) => [name, values[at]]));
}

function directionsOf(directions: readonly Direction[], names: readonly string[] | undefined): readonly ForeignDirection[] {
  return directions.map((direction, at) => {
    const metric = names?.length === directions.length ? names[at] : undefined;
    return { direction, ...(metric === undefined ? {} : { metric }) };
  });
}

function chooseStudy<S extends { readonly name: string }>(studies: readonly S[], file: string, wanted: string | undefined): S {
  const names = studies.map(({ name }) => name).join(', ');
  const [only] = studies;
  if (only === undefined) throw new UnreadableResults(`${file} holds no study.`);
  if (wanted === undefined && studies.length > 1)
    throw new UnreadableResults(`${file} holds ${studies.length} studies. Name one: --study (${names}).`);
  const found = wanted === undefined ? only : studies.find(({ name }) => name === wanted);
  if (found === undefined) throw new UnreadableResults(`${file} holds no study "${wanted}". It has: ${names}.`);
  return found;
}

const database = z.array(
  z.object({
    name: z.string(),
    directions: z.array(z.string()),
    metric_names: z.array(z.string()).nullable(),
    trials: z.array(
      z.object({
        number: z.number(),
        state: z.string(),
        values: z.array(z.number().nullable()),
        params: z.array(z.tuple([z.string(), z.number(), z.string()])),
        user_attributes: z.record(z.string(), z.number()),
      }),
    ),
  }),
);

/** A study file of some hundred thousand trials as JSON. */
const MOST_OUTPUT_BYTES = 512 * 1024 * 1024;

/**
 * One study of an SQLite database (`sqlite:///study.db`), read by Python's own sqlite3, since Node 20 has none. The file is opened read-only.
 * Throws UnreadableResults.
 */
export function readOptunaDatabase(file: string, python: string, study?: string): ForeignResults {
  const script = path.join(packageRoot(), 'remote', 'read_optuna.py');
  let text: string;
  try {
    text = execFileSync(python, [script, file], { encoding: 'utf8', maxBuffer: MOST_OUTPUT_BYTES, stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.trim().split('\n').at(-1);
    throw new UnreadableResults(`${file} cannot be read as a database of Optuna (${said ?? (cause as Error).message}).`, { cause });
  }
  const chosen = chooseStudy(database.parse(JSON.parse(text)), file, study);
  return {
    directions: directionsOf(
      chosen.directions.map((direction) => (direction === 'MINIMIZE' ? 'minimize' : 'maximize')),
      chosen.metric_names ?? undefined,
    ),
    trials: chosen.trials.map(
      ({ number, state, values, params, user_attributes }): ForeignTrial => ({
        from: `${chosen.name} trial ${number}`,
        params: Object.fromEntries(params.map(([name, value, distribution]) => [name, external(value, distribution)])),
        values: named(values, chosen.metric_names ?? undefined),
        metrics: user_attributes,
        isComplete: state === 'COMPLETE' && values.length > 0,
      }),
    ),
  };
}
