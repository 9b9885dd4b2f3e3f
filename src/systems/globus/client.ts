import type { z } from 'zod';
import { GlobusHttpError } from './http-errors.ts';
import { packFunction, RESULT_SERIALIZERS } from './serialize.ts';
import { type Call, request, type TransportOptions } from './transport.ts';
import * as wire from './wire.ts';

/** Tasks of one submission: payloads (see packPayload) in order; the ids come back in the same order. */
export interface Submission {
  readonly endpointId: string;
  readonly functionId: string;
  readonly payloads: readonly string[];
  /** Absent: the service opens a new group. An unknown group is a 404. */
  readonly groupId?: string;
  readonly userEndpointConfig?: Readonly<Record<string, unknown>>;
  /** Lower runs first; engines other than GlobusComputeEngine refuse it (InvalidResourceSpecification). */
  readonly priority?: number;
}

export interface Submitted {
  readonly groupId: string;
  readonly taskIds: readonly string[];
}

/** The calls of Globus Compute's web service that a campaign needs. Every method throws DriverError kinds (see transport.ts). */
export interface GlobusClient {
  version(signal?: AbortSignal): Promise<z.infer<typeof wire.version>>;
  registerFunction(name: string, source: string, description: string): Promise<string>;
  /** Has no idempotency key: an AmbiguousAnswerError must be settled by `group`. `repeatable` for tasks whose doubles do no harm. */
  submit(submission: Submission, options: { readonly repeatable: boolean; readonly signal?: AbortSignal }): Promise<Submitted>;
  /** Tasks by id; ids that the service does not know any more are absent. */
  tasks(ids: readonly string[], signal?: AbortSignal): Promise<Map<string, wire.GlobusTask>>;
  group(id: string, signal?: AbortSignal): Promise<readonly { readonly id: string; readonly createdAt?: string }[]>;
  endpointStatus(id: string, signal?: AbortSignal): Promise<wire.EndpointStatus>;
  endpoint(id: string): Promise<wire.GlobusEndpoint>;
  endpoints(): Promise<readonly wire.GlobusEndpoint[]>;
  allowedFunctions(id: string): Promise<z.infer<typeof wire.allowedFunctions>>;
  /** The user-endpoint processes: the only view of restarts. */
  processes(id: string, signal?: AbortSignal): Promise<readonly z.infer<typeof wire.userEndpointProcess>[]>;
}

/** The release of the Python SDK whose protocol this client speaks (globus.md, goldens). */
export const SPOKEN_RELEASE = { python_version: '3.11.7', sdk_version: '4.19.0' } as const;
/** Ids per batch_status call, as the SDK asks. */
export const STATUS_BATCH = 128;
/** Until a submission's answer is given up: it waits for a cold user endpoint to start. */
export const SUBMIT_SECONDS = 180;

/** The requests of the Globus Compute web service that Holdfast makes, each with its answer's schema. Throws DriverError. */
export function createGlobusClient(options: TransportOptions): GlobusClient {
  const ask = <T>(call: Call<T>): Promise<T> => request(options, call);
  const get = <T>(path: string, answer: z.ZodType<T>, signal?: AbortSignal): Promise<T> =>
    ask({ method: 'GET', path, answer, repeatable: true, ...(signal ? { signal } : {}) });

  return {
    version: (signal) => get('/v2/version?service=all', wire.version, signal),

    async registerFunction(name, source, description) {
      const answer = await ask({
        method: 'POST',
        path: '/v3/functions',
        body: {
          function_name: name,
          function_code: packFunction(name, source),
          serialized: true,
          description,
          meta: { ...SPOKEN_RELEASE, serde_identifier: 'st' },
        },
        answer: wire.registered,
        // A second registration is only a second id.
        repeatable: true,
      });
      return answer.function_uuid;
    },

    async submit(submission, { repeatable, signal }) {
      const answer = await ask({
        method: 'POST',
        path: `/v3/endpoints/${submission.endpointId}/submit`,
        body: {
          tasks: { [submission.functionId]: submission.payloads },
          create_queue: false,
          result_serializers: RESULT_SERIALIZERS,
          ...(submission.groupId === undefined ? {} : { task_group_id: submission.groupId }),
          ...(submission.priority === undefined ? {} : { resource_specification: { priority: submission.priority } }),
          ...(submission.userEndpointConfig === undefined ? {} : { user_endpoint_config: submission.userEndpointConfig }),
        },
        answer: wire.submitted.refine((value) => value.tasks[submission.functionId]?.length === submission.payloads.length, {
          message: 'not one task id per payload',
        }),
        repeatable,
        timeoutSeconds: options.submitSeconds ?? SUBMIT_SECONDS,
        ...(signal ? { signal } : {}),
      }).catch((error: unknown) => {
        throw withFunctionId(error, submission.functionId);
      });
      return { groupId: answer.task_group_id, taskIds: answer.tasks[submission.functionId] ?? [] };
    },

    async tasks(ids, signal) {
      const found = new Map<string, wire.GlobusTask>();
      for (let from = 0; from < ids.length; from += STATUS_BATCH) {
        const answer = await ask({
          method: 'POST',
          path: '/v2/batch_status',
          body: { task_ids: ids.slice(from, from + STATUS_BATCH) },
          answer: wire.batchStatus,
          repeatable: true,
          ...(signal ? { signal } : {}),
        });
        for (const [id, entry] of Object.entries(answer.results)) {
          const parsed = wire.task.safeParse(entry);
          if (parsed.success) found.set(id, parsed.data);
        }
      }
      return found;
    },

    async group(id, signal) {
      const answer = await get(`/v2/taskgroup/${id}`, wire.taskGroup, signal);
      return answer.tasks.map((entry) => ({ id: entry.id, ...(entry.created_at ? { createdAt: entry.created_at } : {}) }));
    },

    endpointStatus: (id, signal) => get(`/v2/endpoints/${id}/status`, wire.endpointStatus, signal),
    endpoint: (id) => get(`/v2/endpoints/${id}`, wire.endpoint),
    endpoints: () => get('/v2/endpoints?role=owner', wire.endpoints),
    allowedFunctions: (id) => get(`/v3/endpoints/${id}/allowed_functions`, wire.allowedFunctions),

    async processes(id, signal) {
      try {
        return (await get(`/v3/endpoints/${id}/console`, wire.console, signal)).user_endpoints;
      } catch (error) {
        // The console is for owners and newer than the rest: without it restarts are seen by heartbeat files alone.
        if (error instanceof GlobusHttpError && error.class === 'refused') return [];
        throw error;
      }
    },
  };
}

/** The owner of an endpoint with a list of allowed functions must be told which one to add. */
function withFunctionId(error: unknown, functionId: string): unknown {
  if (!(error instanceof GlobusHttpError) || error.code !== 'HF-GLOBUS-FUNCTION-NOT-PERMITTED') return error;
  return new GlobusHttpError(error, `${error.message} Its id is ${functionId}.`, error.status, error.serviceCode);
}
