import { z } from 'zod';
import { FAILURE_TABLE } from '../domain/failures.ts';
import { savingOf } from '../domain/saved-hours.ts';
import { TRIAL_STATES, type TrialRow } from '../domain/trial.ts';
import { paretoFront, rankedValue, topRows } from '../view/ranking.ts';
import { frontVolume } from './front-volume.ts';
import { REPORT_STATUSES, type ReportInput } from './input.ts';
import { type Statistics, statistics } from './statistics.ts';
import { iso } from './trial-records.ts';

const instant = z.string().describe('ISO 8601, UTC');
const parameterValue = z.union([z.string(), z.number(), z.boolean()]);
const statisticsSchema = z.strictObject({
  count: z.int().nonnegative(),
  mean: z.number(),
  std: z.number().nonnegative().describe('n - 1; 0 for one value'),
  median: z.number(),
  min: z.number(),
  max: z.number(),
});
const trialSchema = z.strictObject({
  number: z.int().positive(),
  values: z.record(z.string(), z.number()).describe('objective metric to value'),
  params: z.record(z.string(), parameterValue),
  origin: z.string(),
  step: z.number().nullable(),
  run_seconds: z.number().nullable(),
  finished_at: instant.nullable(),
  synthetic: z.boolean().describe('trained on generated data'),
});

/** `summary.json`, version 1. docs/results.md is its page. */
export const summarySchema = z.strictObject({
  version: z.literal(1),
  campaign: z.string().describe('workflow id'),
  name: z.string(),
  description: z.string().nullable(),
  tags: z.array(z.string()),
  status: z.enum(REPORT_STATUSES),
  stop_reason: z.string().nullable(),
  started_at: instant,
  ended_at: instant.describe('end of the campaign, or the instant of this file while it runs'),
  elapsed_seconds: z.number().nonnegative(),
  system: z.strictObject({ name: z.string(), kind: z.enum(['local', 'pbs', 'globus_compute']) }),
  objectives: z.array(z.strictObject({ metric: z.string(), direction: z.enum(['maximize', 'minimize']), target: z.number().nullable() })),
  sampler: z.string(),
  seed: z.number(),
  counts: z.strictObject({
    total: z.int().nonnegative(),
    unfinished: z.int().nonnegative(),
    completed: z.int().nonnegative(),
    pruned: z.int().nonnegative(),
    failed: z.int().nonnegative(),
    cancelled: z.int().nonnegative(),
    attempts: z.int().nonnegative(),
  }),
  synthetic_trials: z
    .int()
    .nonnegative()
    .describe('trials with a result that trained on generated data; their values say nothing about real data'),
  success_rate: z.number().min(0).max(1).nullable().describe('completed / (completed + failed)'),
  best: trialSchema.nullable().describe('by the first objective'),
  pareto: z.array(trialSchema).describe('only with several objectives'),
  hypervolume: z
    .strictObject({ value: z.number().nonnegative(), corner: z.record(z.string(), z.number()) })
    .nullable()
    .describe('that the front dominates, up to a corner a tenth of the span beyond the worst trial; with two to four objectives'),
  top: z.array(trialSchema).describe('at most 10, best first'),
  statistics: z.record(z.string(), statisticsSchema).describe('objective metric over completed trials'),
  improvement: z.number().nullable().describe('best minus the first completed trial, in the direction of the objective'),
  training_seconds: z.number().nonnegative().describe('slot time of all attempts'),
  slot_hours: z.number().nonnegative(),
  node_hours: z.number().nonnegative().nullable(),
  utilisation: z.number().min(0).max(1).nullable(),
  early_stopping: z
    .strictObject({
      pruned: z.int().nonnegative(),
      saved_steps: z.number().nonnegative(),
      saved_slot_hours: z.number().nonnegative(),
      saved_node_hours: z.number().nonnegative().nullable(),
    })
    .nullable()
    .describe('what pruned trials would still have run, at their own pace; node-hours where slots per node are known'),
  failures: z.array(z.strictObject({ class: z.string(), count: z.int().positive(), example: z.string(), advice: z.string() })),
  problems: z.array(z.string()),
  origins: z
    .record(z.string(), z.strictObject({ trials: z.int().positive(), best: z.number().nullable() }))
    .describe('where points came from'),
  llm: z
    .strictObject({
      calls: z.int().nonnegative(),
      prompt_tokens: z.int().nonnegative(),
      completion_tokens: z.int().nonnegative(),
      trials: z.int().nonnegative(),
      limit: z.strictObject({ calls: z.number(), tokens: z.number() }).nullable(),
    })
    .nullable()
    .describe('what the language model cost'),
  provenance: z.record(z.string(), z.string()),
  launch: z.string().nullable(),
  folders: z
    .strictObject({
      on_system: z.string(),
      local: z.string(),
      trials: z.int().nonnegative(),
      files: z.int().nonnegative(),
      size_bytes: z.int().nonnegative(),
    })
    .nullable()
    .describe('the launch folder where the trials ran and here; folders, files and bytes of the trials that have ended, last attempts'),
});

export type Summary = z.infer<typeof summarySchema>;

/** The campaign in one small JSON document. Throws when it does not fit its own schema: a bug, not the user's mistake. */
export function summarize(input: ReportInput): Summary {
  const { spec, rows } = input;
  const count = (state: TrialRow['state']) => rows.filter((row) => row.state === state).length;
  const completed = count('completed');
  const failed = count('failed');
  const top = topRows(rows, spec.objectives, 10, spec.metricConstraints);
  const trainingSeconds = rows.reduce((sum, row) => sum + (row.runSeconds ?? 0), 0);
  return summarySchema.parse({
    version: 1,
    campaign: input.campaign,
    name: spec.name,
    description: spec.description ?? null,
    tags: [...(spec.tags ?? [])],
    status: input.status,
    stop_reason: input.stopReason ?? null,
    started_at: iso(input.startedAt),
    ended_at: iso(input.endedAt),
    elapsed_seconds: Math.max(0, (input.endedAt - input.startedAt) / 1000),
    system: { name: spec.system.name, kind: spec.system.kind },
    objectives: spec.objectives.map(({ metric, direction, target }) => ({ metric, direction, target: target ?? null })),
    sampler: spec.sampler.type,
    seed: spec.seed,
    counts: {
      total: rows.length,
      unfinished: rows.filter((row) => TRIAL_STATES.indexOf(row.state) < TRIAL_STATES.indexOf('completed')).length,
      completed,
      pruned: count('pruned'),
      failed,
      cancelled: count('cancelled'),
      attempts: rows.reduce((sum, row) => sum + row.attempts, 0),
    },
    synthetic_trials: rows.filter((row) => row.synthetic === true && row.values !== undefined).length,
    success_rate: completed + failed === 0 ? null : completed / (completed + failed),
    best: top[0] === undefined ? null : trialOf(top[0], input),
    pareto: spec.objectives.length < 2 ? [] : paretoFront(rows, spec.objectives, spec.metricConstraints).map((row) => trialOf(row, input)),
    hypervolume: frontVolume(rows, spec.objectives, spec.metricConstraints) ?? null,
    top: top.map((row) => trialOf(row, input)),
    statistics: objectiveStatistics(input),
    improvement: improvement(input, top[0]),
    training_seconds: trainingSeconds,
    slot_hours: (trainingSeconds * spec.training.slots) / 3600,
    node_hours: input.nodeHours ?? null,
    utilisation: input.utilisation ?? null,
    early_stopping: earlyStopping(input),
    failures: failures(rows),
    problems: [...(input.problems ?? [])],
    origins: origins(input),
    llm: llmOf(input),
    provenance: { ...input.provenance },
    launch: input.launch?.launch ?? null,
    folders: foldersOf(input),
  });
}

function foldersOf({ launch, outcomes = [] }: ReportInput): Summary['folders'] {
  if (launch === undefined) return null;
  const files = outcomes.flatMap((outcome) => outcome.files ?? []);
  return {
    on_system: launch.directory,
    local: launch.localDirectory,
    trials: outcomes.filter((outcome) => outcome.directory !== undefined).length,
    files: files.length,
    size_bytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
  };
}

function trialOf(row: TrialRow, { spec }: ReportInput): z.infer<typeof trialSchema> {
  return {
    number: row.number,
    values: Object.fromEntries(spec.objectives.flatMap(({ metric }, index) => finiteEntry(metric, row.values?.[index]))),
    params: { ...row.params },
    origin: row.origin,
    step: row.step ?? null,
    run_seconds: row.runSeconds ?? null,
    finished_at: row.finishedAt === undefined ? null : iso(row.finishedAt),
    synthetic: row.synthetic === true,
  };
}

function llmOf({ llm }: ReportInput): Summary['llm'] {
  if (llm === undefined) return null;
  const { calls, promptTokens, completionTokens, trials, limit } = llm;
  return { calls, prompt_tokens: promptTokens, completion_tokens: completionTokens, trials, limit: limit ?? null };
}

function finiteEntry(metric: string, value: number | undefined): [string, number][] {
  return value !== undefined && Number.isFinite(value) ? [[metric, value]] : [];
}

function earlyStopping({ spec, rows, provenance }: ReportInput): Summary['early_stopping'] {
  const saving = savingOf(spec, rows, provenance);
  if (saving === undefined) return null;
  const { pruned, steps, slotHours, nodeHours } = saving;
  return { pruned, saved_steps: steps, saved_slot_hours: slotHours, saved_node_hours: nodeHours ?? null };
}

function objectiveStatistics({ spec, rows }: ReportInput): Record<string, Statistics> {
  const completed = rows.filter((row) => row.state === 'completed');
  return Object.fromEntries(
    spec.objectives.flatMap(({ metric }, index) => {
      const known = statistics(completed.map((row) => row.values?.[index] ?? Number.NaN));
      return known === undefined ? [] : [[metric, known]];
    }),
  );
}

function improvement({ spec, rows }: ReportInput, best: TrialRow | undefined): number | null {
  const first = rows.find((row) => rankedValue(row, spec.metricConstraints) !== undefined)?.values?.[0];
  const value = best?.values?.[0];
  if (first === undefined || value === undefined) return null;
  return spec.objectives[0]?.direction === 'minimize' ? first - value : value - first;
}

function failures(rows: readonly TrialRow[]): Summary['failures'] {
  const byClass = new Map<keyof typeof FAILURE_TABLE, { count: number; example: string }>();
  for (const { state, failure } of rows) {
    if (state !== 'failed' || failure === undefined) continue;
    const known = byClass.get(failure.class);
    byClass.set(failure.class, { count: (known?.count ?? 0) + 1, example: known?.example ?? failure.message });
  }
  return [...byClass]
    .sort((a, b) => b[1].count - a[1].count)
    .map(([name, { count, example }]) => ({ class: name, count, example, advice: FAILURE_TABLE[name].advice }));
}

function origins({ spec, rows }: ReportInput): Summary['origins'] {
  const names = [...new Set(rows.map((row) => row.origin))];
  return Object.fromEntries(
    names.map((name) => {
      const own = rows.filter((row) => row.origin === name);
      return [name, { trials: own.length, best: topRows(own, spec.objectives, 1, spec.metricConstraints)[0]?.values?.[0] ?? null }];
    }),
  );
}
