import { z } from 'zod';
import { type FailureClass, isFailureClass } from '../../domain/failures.ts';
import type { BusySlot, DoneRecord, HeartbeatRecord } from '../../domain/spool.ts';

/** Schemas of what the agent writes: the boundary at which foreign bytes become our types. Unknown keys are dropped, so a newer agent is understood. */

const curve = z.array(z.tuple([z.number(), z.number()])).max(4096);
const failureClass = z.custom<FailureClass>((value) => typeof value === 'string' && isFailureClass(value), 'is no failure class');

export const doneRecordSchema: z.ZodType<DoneRecord> = z.object({
  version: z.literal(1),
  campaign: z.string(),
  trial: z.string().regex(/^trial-\d{4,}$/),
  attempt: z.int().positive(),
  status: z.enum(['completed', 'failed', 'stopped', 'returned']),
  exit_code: z.int().nullable(),
  signal: z.string().nullable(),
  error: z
    .object({ class: failureClass, message: z.string().max(2000), stage: z.string().exactOptional(), evidence: z.string().exactOptional() })
    .nullable(),
  values: z.array(z.number()).nullable(),
  metrics: z.record(z.string(), z.number()),
  synthetic: z.literal(true).exactOptional(),
  is_final: z.literal(true).exactOptional(),
  curve,
  step: z.number().nullable(),
  started_at: z.number(),
  ended_at: z.number(),
  run_seconds: z.number().nonnegative(),
  pilot: z.string(),
  host: z.string(),
  slot: z.int().nonnegative(),
  resumed_from: z.int().positive().nullable(),
  has_checkpoint: z.boolean(),
  directory: z.string(),
  files: z.array(z.object({ path: z.string(), size: z.int().nonnegative(), sha256: z.string().regex(/^([0-9a-f]{64})?$/) })).max(64),
});

const busySlotSchema: z.ZodType<BusySlot> = z.object({
  trial: z.string(),
  attempt: z.int().positive(),
  slot: z.int().nonnegative(),
  run_seconds: z.number(),
  step: z.number().nullable(),
  value: z.number().nullable(),
  rungs: curve,
  recent: curve,
});

export const heartbeatSchema: z.ZodType<HeartbeatRecord> = z.object({
  version: z.literal(1),
  pilot: z.string(),
  agent: z.string(),
  host: z.string(),
  pid: z.int(),
  beat: z.int(),
  state: z.enum(['running', 'draining', 'ended']),
  slots: z.int(),
  busy: z.array(busySlotSchema),
  allocated_slot_seconds: z.number(),
  busy_slot_seconds: z.number(),
  finished: z.int(),
  reason: z.string().exactOptional(),
});

/** `pilots/<pilot>/agent.json`: which process an agent is. pid and start_time (clock ticks since boot) name it for ever on one boot of one host. */
export const agentIdentitySchema = z.object({
  pid: z.int(),
  start_time: z.string().nullable(),
  boot_id: z.string(),
  host: z.string(),
  agent: z.string(),
  pilot: z.string(),
  slots: z.int(),
});
export type AgentIdentity = z.output<typeof agentIdentitySchema>;

/** The parts of launch.json that readers of a launch folder use. */
export const launchSchema = z.object({
  version: z.literal(1),
  campaign: z.string(),
  launch: z.string(),
  job_pattern: z.string(),
  limits: z.object({ grace_seconds: z.number() }),
  owner: z.object({ namespace: z.string(), workflow_id: z.string(), epoch: z.number() }),
});
export type LaunchHead = z.output<typeof launchSchema>;

/** JSON text of a record; parsed by a schema. Says in one sentence what is wrong. */
export function parseRecord<T>(schema: z.ZodType<T>, text: string): { readonly record: T } | { readonly problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: `not JSON (${error instanceof Error ? error.message : String(error)})` };
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return { record: parsed.data };
  const [first] = parsed.error.issues;
  return { problem: first === undefined ? 'not as the protocol says' : `${first.path.join('.') || 'record'}: ${first.message}` };
}
