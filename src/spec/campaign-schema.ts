import * as z from 'zod';
import { commandWords } from './command-words.ts';
import { globusBlockSchema } from './globus-settings.ts';
import { llmSchema } from './llm-settings.ts';
import { notifySchema } from './notify-schema.ts';
import {
  countFromZero,
  duration,
  environment,
  integer,
  number,
  positiveInteger,
  positiveNumber,
  readInstant,
  size,
  text,
} from './scalars.ts';
import { section } from './section.ts';
import { parameterValue, searchSpaceSchema } from './space-schema.ts';
import { warmStartSchema } from './warm-start.ts';

/** The campaign file: one schema, from which the checks, the defaults and the editors' JSON Schema are made. */

const objective = section({
  metric: text().meta({ description: 'Name of the value in results.json or metrics.jsonl' }),
  direction: z.enum(['maximize', 'minimize']),
  reduce: z.enum(['result', 'last', 'best']).default('result').meta({
    description: "How a trial's reports become its value: its result (or, without one, the last report), the last report, the best report",
  }),
  target: number().exactOptional().meta({ description: 'The campaign stops when a trial reaches this' }),
});

const METRIC_CONSTRAINT = /^\s*([A-Za-z_][\w./-]*)\s*(<=|>=)\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*$/;

const metricConstraint = z
  .string()
  .transform((line, context) => {
    const match = METRIC_CONSTRAINT.exec(line);
    if (!match) {
      context.addIssue({
        code: 'custom',
        message: `is ${JSON.stringify(line)}, but must be a metric, <= or >=, and a number`,
        params: { next: 'For example: "peak_memory_gb <= 40".' },
      });
      return z.NEVER;
    }
    return { metric: match[1] as string, op: match[2] as '<=' | '>=', bound: Number(match[3]) };
  })
  .meta({ description: 'peak_memory_gb <= 40' });

const command = z
  .union([z.string(), z.array(z.union([z.string(), z.number()]).transform(String))])
  .transform((value, context) => {
    try {
      const words = typeof value === 'string' ? commandWords(value) : value;
      if (words.length > 0 && words[0] !== '') return words;
      context.addIssue({
        code: 'custom',
        message: 'is empty',
        params: { next: 'Name the program that trains, like "{python} {code}/train.py".' },
      });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      context.addIssue({ code: 'custom', message, params: { next: 'Put it in a script and call that, or write the words as a list.' } });
    }
    return z.NEVER;
  })
  .meta({
    description:
      'Words of the training command (a list, or one text that is split at blanks outside quotes; no shell). {python} {code} {out} {params_file} {data_dir} {trial} {attempt} {slot} and {<parameter>} are filled in',
  });

const training = section({
  command,
  bundle: text().exactOptional().meta({ description: 'Folder of training code that travels; {code} is where it lies on the system' }),
  env: environment().default({}),
  data_dir: text().exactOptional().meta({ description: 'Data set on the system, {data_dir} in the command' }),
  slots: positiveInteger().default(1).meta({ description: 'Slots (GPU tiles) of one trial' }),
});

const instant = z
  .string()
  .transform((value, context) => {
    const isDay = /^\d{4}-\d{2}-\d{2}$/.test(value);
    const milliseconds = isDay ? Date.parse(`${value}T23:59:59Z`) : (readInstant(value) ?? Number.NaN);
    if (Number.isNaN(milliseconds)) {
      context.addIssue({
        code: 'custom',
        message: `is ${JSON.stringify(value)}, but must be a day like 2026-12-20 or an instant with its zone like 2026-12-20T18:00:00Z`,
      });
      return z.NEVER;
    }
    return new Date(milliseconds).toISOString();
  })
  .meta({ description: 'Last day (its end, UTC) or instant with its zone, ISO 8601' });

/** A name alone, or a mapping whose further keys are the sampler's own options (src/search/registry.ts lists them). */
const sampler = z.union([
  text(),
  z.looseObject({
    type: text(),
    seed: integer().exactOptional().meta({ description: 'Another seed gives another search; the same seed the same one' }),
    initial_points: countFromZero().exactOptional().meta({ description: "Points before results are used; absent: the sampler's own rule" }),
  }),
]);

/** Early stopping; further keys are the pruner's own options (src/search/pruning/registry.ts lists them). */
const pruner = z.looseObject({
  type: text(),
  min_steps: positiveInteger()
    .exactOptional()
    .meta({ description: 'First step (epoch) at which trials are compared; absent: 1, freeze_thaw: a thirteenth of max_steps' }),
  max_steps: positiveInteger().meta({ description: 'Steps of a whole training' }),
  reduction_factor: number(z.number().gt(1))
    .exactOptional()
    .meta({ description: 'Of so many trials at a step one goes on; also the factor between steps; absent: 3, freeze_thaw: 2' }),
});

const experiment = section({ name: text().exactOptional(), description: text().exactOptional(), tags: z.array(text()).exactOptional() });

const workingDirs = section({
  aurora_base: text().exactOptional().meta({ description: "Folder on the remote system (the guide's spelling)" }),
  remote_base: text().exactOptional().meta({ description: 'The same, for systems of other names' }),
  local_base: text().default('results'),
  launch_iteration_pattern: text().default('{timestamp}_{experiment_id}'),
  job_pattern: text().default('job_{job_id}'),
});

export const campaignShape = {
  version: z.literal(1).default(1),
  name: text().max(100).optional().meta({ description: 'Name for people' }),
  description: text().optional(),
  tags: z.array(text()).optional(),
  experiment: experiment.optional().meta({ description: 'name, description and tags, as the prototype grouped them' }),
  system: z
    .union([text(), z.looseObject({ name: text() })])
    .optional()
    .meta({ description: 'Name of a profile in config/systems, or {name: …} with settings for this campaign' }),
  globus_compute: globusBlockSchema.optional(),
  objective: z.union([objective, z.array(objective).min(1)]),
  metric_constraints: z.array(metricConstraint).optional().meta({ description: 'A trial that breaks one is not feasible' }),
  search_space: searchSpaceSchema,
  constraints: z.array(z.string()).optional().meta({ description: 'Expressions over parameters that every point keeps' }),
  sampler: sampler.optional().meta({ description: 'Name of a sampler, or {type: …} with its options' }),
  pruner: pruner.optional().meta({ description: 'Early stopping: {type: …, max_steps: …} with its options' }),
  llm: llmSchema.optional(),
  warm_start: warmStartSchema.optional(),
  enqueue: z.array(z.record(z.string(), parameterValue())).optional().meta({ description: 'Your own points, tried first' }),
  allow_duplicates: z.boolean().default(false).meta({ description: 'The same point may run twice' }),
  training,
  deploy: text().optional().meta({
    description: 'A plan as for `holdfast deploy`: carried out before anything is submitted; a step that fails ends the campaign',
  }),
  data: section({ dir: text() }).optional().meta({ description: 'dir: the same as training.data_dir' }),
  budget: section({
    trials: positiveInteger().exactOptional(),
    node_hours: positiveNumber().exactOptional(),
    wall_time: duration().exactOptional().meta({ description: 'From the start of the campaign' }),
    until: instant.exactOptional(),
    deadline: instant.exactOptional().meta({ description: 'The same as until' }),
  }).optional(),
  stop: z
    .looseObject({
      patience: positiveInteger().exactOptional().meta({ description: 'Finished trials in a row without an improvement' }),
      min_delta: number(z.number().nonnegative()).exactOptional().meta({ description: 'Least improvement that counts' }),
      target: number().exactOptional().meta({ description: 'The same as objective.target' }),
      failures_alike: countFromZero()
        .exactOptional()
        .meta({ description: 'So many trials, the first, that all failed with one class end the campaign as failed; 0: never' }),
    })
    .optional(),
  concurrency: positiveInteger().optional().meta({ description: 'Trials in flight at most; absent: what the system takes' }),
  ramp: section({
    initial: positiveInteger().meta({ description: 'Trials at once in the beginning' }),
    adaptive: z
      .boolean()
      .default(true)
      .meta({ description: 'Two more after each batch with over 80 % success, two fewer at 60 % or less' }),
  })
    .optional()
    .meta({ description: 'A cautious start below concurrency' }),
  spacing: number(z.number().nonnegative()).optional().meta({ description: 'Least seconds between two submissions' }),
  limits: section({
    trial_seconds: duration().exactOptional().meta({ description: 'Wall-clock limit of one attempt' }),
    hang_factor: number(z.number().nonnegative())
      .default(20)
      .meta({ description: 'Killed when silent for this many times the median gap between reports; 0: never' }),
    hang_min_seconds: duration().prefault(600).meta({ description: 'Never killed for silence before' }),
    grace_seconds: number(z.number().nonnegative())
      .default(15)
      .meta({ description: 'From the wish to stop to SIGTERM, and from there to SIGKILL' }),
    log_bytes: size().prefault('64MiB').meta({ description: 'Size at which stdout and stderr are rotated' }),
  }).prefault({}),
  retries: section({
    infrastructure: countFromZero().exactOptional().meta({ description: 'When the machine failed (default 5)' }),
    trial: countFromZero().exactOptional().meta({ description: 'When the training failed (default 1)' }),
  }).prefault({}),
  notify: notifySchema.optional().meta({ description: 'Mail, webhook or command that tells of logins, results and the end' }),
  working_dirs: workingDirs.prefault({}),
};

/** The whole file: strict, snake_case. */
export const campaignSchema = z.strictObject(campaignShape);

export type CampaignSections = { readonly [K in keyof typeof campaignShape]: z.output<(typeof campaignShape)[K]> };
