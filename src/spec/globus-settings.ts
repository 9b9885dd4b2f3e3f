import * as z from 'zod';
import { countFromZero, duration, number, positiveInteger, text } from './scalars.ts';
import { section } from './section.ts';

/** The guide's `globus_compute` block, with the guide's own spelling and defaults (rows C3, C4, S14, S30). */
export const globusBlockSchema = section({
  enabled: z.boolean().default(false).meta({ description: 'true: trials run through Globus Compute' }),
  endpoint_id: text().exactOptional().meta({ description: 'UUID of the endpoint' }),
  endpoint_config_path: text().exactOptional().meta({
    description: "The endpoint's own file: its workers × nodes × blocks are the trials at once, where the file is on the worker's computer",
  }),
  auth_method: z.enum(['native_client', 'confidential_client', 'client_credentials']).default('native_client'),
  function_timeout: duration().prefault(3600).meta({ description: 'Seconds of one trial; the same as limits.trial_seconds' }),
  max_retries: countFromZero().default(2).meta({ description: 'Of a trial that the machine failed; the same as retries.infrastructure' }),
  parallel_jobs: section({
    max_concurrent: positiveInteger().exactOptional().meta({ description: 'The same as concurrency' }),
    initial_batch_size: positiveInteger().exactOptional().meta({ description: 'Trials at once in the beginning' }),
    adaptive_scaling: z
      .boolean()
      .default(true)
      .meta({ description: 'Two more after each batch with over 80 % success, two fewer under 60 %; false: stays at the first size' }),
    job_spacing_seconds: number(z.number().nonnegative()).exactOptional().meta({ description: 'The same as spacing' }),
  }).exactOptional(),
  live_metrics: z.boolean().exactOptional().meta({
    description:
      'true: steps and values of running trials are read by a small task at every look; false: never; absent: when a pruner needs them',
  }),
  user_endpoint_config: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .exactOptional()
    .meta({ description: "Passed to a multi-user endpoint's template: queue, account, walltime, …" }),
});

/** `SystemChoice.settings` of Globus Compute. */
export interface GlobusSettings {
  readonly endpointId: string;
  readonly endpointConfigPath?: string;
  readonly authMethod: 'native_client' | 'confidential_client' | 'client_credentials';
  readonly functionTimeoutSeconds: number;
  readonly maxRetries: number;
  /** Absent: when the campaign has a pruner. */
  readonly liveMetrics?: boolean;
  readonly userEndpointConfig?: Readonly<Record<string, string | number | boolean>>;
}
