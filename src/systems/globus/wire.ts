import { z } from 'zod';

/** Shapes of the service's answers, as far as we read them (globus.md section 2). Unknown fields pass: the service grows. */
export const version = z.looseObject({ api: z.string(), min_sdk_version: z.string().optional(), min_ep_version: z.string().optional() });

export const registered = z.looseObject({ function_uuid: z.uuid() });

export const submitted = z.looseObject({
  request_id: z.string(),
  task_group_id: z.uuid(),
  endpoint_id: z.string(),
  tasks: z.record(z.string(), z.array(z.uuid())),
});

export const TASK_STATES = [
  'received',
  'waiting-for-ep',
  'waiting-for-nodes',
  'waiting-for-launch',
  'execution-start',
  'execution-end',
  'running',
  'success',
  'failed',
  'result-received',
  'result-enqueued',
] as const;

export const task = z.looseObject({
  task_id: z.uuid(),
  /** One of TASK_STATES or a newer one; pending unless it is success or failed (the SDK's own rule). */
  status: z.string().transform((status) => status.toLowerCase()),
  result: z.string().nullish(),
  exception: z.string().nullish(),
  reason: z.string().nullish(),
});
export type GlobusTask = z.infer<typeof task>;

/** Entries the service cannot give are errors of one task, not of the batch. */
export const batchStatus = z.looseObject({ results: z.record(z.string(), z.unknown()) });

export const taskGroup = z.looseObject({
  taskgroup_id: z.uuid(),
  tasks: z.array(z.looseObject({ id: z.uuid(), created_at: z.string().nullish() })),
});

/** Figures that nothing depends on: what is no number is none, and no answer is given up for it. */
const figure = z.number().nullish().catch(null);
const word = z.string().nullish().catch(null);

export const endpointStatus = z.looseObject({
  status: z.string().transform((status) => status.toLowerCase()),
  details: z
    .looseObject({ total_workers: figure, idle_workers: figure, pending_tasks: figure, outstanding_tasks: figure, managers: figure })
    .nullish()
    .catch(null),
});
export type EndpointStatus = z.infer<typeof endpointStatus>;

export const endpoint = z.looseObject({
  uuid: z.string(),
  name: word,
  display_name: word,
  owner: word,
  endpoint_version: word,
  python_version: word,
  hostname: word,
  multi_user: z.boolean().nullish().catch(null),
});
export type GlobusEndpoint = z.infer<typeof endpoint>;
export const endpoints = z.array(endpoint);

export const allowedFunctions = z.looseObject({ restricted: z.boolean(), functions: z.array(z.string()).nullish() });

export const userEndpointProcess = z.looseObject({
  user_endpoint_id: z.string(),
  active: z.boolean().nullish().catch(null),
  start_time_unix: figure,
  last_heartbeat_unix: figure,
  total_worker_count: figure,
  idle_worker_count: figure,
  running_task_count: figure,
  queued_task_count: figure,
  executed_task_count: figure,
});
/** Known from its description alone, so a process that cannot be read is none. */
export const console = z.looseObject({
  user_endpoints: z
    .array(z.unknown())
    .catch([])
    .transform((processes) => processes.flatMap((process) => userEndpointProcess.safeParse(process).data ?? [])),
});
