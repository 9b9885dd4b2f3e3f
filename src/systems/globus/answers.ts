import { z } from 'zod';
import type { BusySlot } from '../../domain/spool.ts';
import { doneRecordSchema } from '../spool/records.ts';

/** Answers of remote/globus_task.py, by operation; what travels back is checked like any other answer. */
export const probeAnswer = z.looseObject({
  host: z.string(),
  base: z.string(),
  python: z.string(),
  executable: z.string(),
  prefix: z.string(),
  free_bytes: z.number(),
  /** Of the endpoint's package in the worker; null where it cannot be told. */
  endpoint_version: z.string().nullish(),
});

export const helloAnswer = z.looseObject({
  message: z.string(),
  host: z.string(),
  pid: z.int(),
  timestamp: z.number(),
  environment: z.record(z.string(), z.string()),
});
export const checkAnswer = z.looseObject({
  host: z.string(),
  python: z.string().optional(),
  prefix: z.string().optional(),
  data_dir: z.string().optional(),
  modules: z.record(z.string(), z.boolean()).optional(),
  torch: z
    .looseObject({
      version: z.string().optional(),
      device: z.string().optional(),
      count: z.int().optional(),
      name: z.string().optional(),
      current: z.int().optional(),
      ipex: z.string().optional(),
      /** Of two matrices of ones, summed up on the device. */
      product: z.number().optional(),
      error: z.string().optional(),
    })
    .optional(),
  problems: z.array(z.looseObject({ code: z.string(), message: z.string() })),
});
export type CheckAnswer = z.infer<typeof checkAnswer>;

export const stageAnswer = z.discriminatedUnion('state', [
  z.looseObject({ state: z.literal('staged'), path: z.string() }),
  z.looseObject({ state: z.literal('partial'), missing: z.array(z.int()) }),
]);

export const launchAnswer = z.discriminatedUnion('state', [
  z.looseObject({ state: z.literal('ready'), directory: z.string() }),
  z.looseObject({ state: z.literal('taken'), owner: z.unknown() }),
]);

export const trialAnswer = z.discriminatedUnion('state', [
  z.looseObject({ state: z.literal('ended'), name: z.string(), record: doneRecordSchema, files: z.record(z.string(), z.string()) }),
  z.looseObject({ state: z.literal('running_elsewhere'), name: z.string() }),
  z.looseObject({ state: z.literal('withdrawn'), name: z.string() }),
]);
export type TrialAnswer = z.infer<typeof trialAnswer>;

const busySlot = z.looseObject({ trial: z.string(), attempt: z.int() }).transform((slot) => slot as unknown as BusySlot);

/** `state` is the agent's (running, draining, ended), or unseen: nobody has touched the attempt on the file system. */
export const seen = z.union([
  z.looseObject({ state: z.literal('ended'), record: doneRecordSchema }),
  z.looseObject({ state: z.enum(['unseen', 'withdrawn']) }),
  z.looseObject({ state: z.string(), beat: z.number(), host: z.string().nullish(), busy: z.array(busySlot) }),
]);
export type Seen = z.infer<typeof seen>;

/** Keys are `<attempt> <launch folder>`, values `seen`, each read alone: one bad record must not hide the others (R21). */
export const lookAnswer = z.looseObject({
  found: z.record(z.string(), z.unknown()),
  /** Which engine of the endpoint ran it; null where it cannot be told. */
  engine: z.string().nullish(),
});

export const stopAnswer = z.looseObject({ ended: z.array(z.string()) });
export const fetchAnswer = z.looseObject({ pieces: z.array(z.string().nullable()) });
export const aliveAnswer = z.looseObject({ alive: z.array(z.string()) });
export const shellAnswer = z.looseObject({
  code: z.int().nullable(),
  stdout: z.string(),
  stderr: z.string(),
  cut: z.boolean().optional(),
  host: z.string(),
});
export const putAnswer = z.looseObject({ state: z.enum(['there', 'partial']), missing: z.array(z.int()).optional() });
export const describeAnswer = z.looseObject({ size: z.int().nullable(), sha256: z.string() });
