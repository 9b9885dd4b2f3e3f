import { z } from 'zod';
import { strict } from '../../spec/section.ts';

/**
 * config/globus_endpoint.yaml: what an endpoint is, in the words of the guide. Holdfast makes from it the three files that today's
 * globus-compute-endpoint reads (core config, template, schema; globus.md section 7). Strict: the endpoint itself ignores or misreads unknown keys.
 */
const walltime = z.string().regex(/^\d{1,4}:[0-5]\d:[0-5]\d$/, 'must be HH:MM:SS in quotes, like "01:00:00"');
const count = z.int().nonnegative();

export const LAUNCHERS = {
  mpiexec: 'MpiExecLauncher',
  mpirun: 'MpiRunLauncher',
  srun: 'SrunLauncher',
  single_node: 'SingleNodeLauncher',
  simple: 'SimpleLauncher',
} as const;

const shape = strict({
  version: z.literal(1),
  display_name: z.string().min(1).max(255).optional(),
  /** Whom users write to; the endpoint asks for it where it serves several users (it runs as root). */
  contact_email: z.email().optional(),
  scheduler: z.enum(['pbs', 'slurm', 'local']).default('pbs'),
  account: z.string().min(1).optional(),
  queue: z.string().min(1).optional(),
  walltime: walltime.optional(),
  nodes_per_block: z.int().positive().default(1),
  cpus_per_node: z.int().positive().optional(),
  init_blocks: count.default(0),
  min_blocks: count.default(0),
  max_blocks: z.int().positive().default(1),
  max_workers_per_node: z.int().positive(),
  /** The engine starts no more workers than a node has cores for; its default is 1. */
  cores_per_worker: z.number().positive().optional(),
  /** A number of devices, or their names: "0.0" … "5.1" for the tiles of Aurora. */
  available_accelerators: z.union([z.int().positive(), z.array(z.string().min(1)).min(1)]).optional(),
  prefetch_capacity: count.default(0),
  max_retries_on_system_failure: count.default(0),
  scheduler_options: z.string().optional(),
  select_options: z.string().optional(),
  worker_init: z.string().default(''),
  launcher: strict({
    type: z.enum(Object.keys(LAUNCHERS) as [keyof typeof LAUNCHERS]),
    bind_cmd: z.string().optional(),
    overrides: z.string().optional(),
  }).default({ type: 'single_node' }),
  /** Name of the network interface that compute nodes reach the endpoint by. */
  address_interface: z.string().optional(),
  heartbeat_period: z.int().min(5).default(30),
  heartbeat_threshold: z.int().positive().default(120),
  idle_heartbeats_soft: count.default(10),
  idle_heartbeats_hard: count.default(5_760),
  /** Only what a Holdfast client sends: source text and JSON. */
  json_only: z.boolean().default(true),
});

/** Contradictions between keys that each alone are fine. */
export const endpointSettings = shape.superRefine((settings, context) => {
  const refuse = (path: string, message: string, next: string) =>
    context.addIssue({ code: 'custom', path: [path], message, params: { next } });
  const { launcher, scheduler, max_blocks: maxBlocks } = settings;
  const accelerators = acceleratorCount(settings.available_accelerators);
  if (accelerators !== undefined && settings.max_workers_per_node > accelerators) {
    refuse(
      'max_workers_per_node',
      `${settings.max_workers_per_node} workers cannot share ${accelerators} accelerators: the endpoint would start only ${accelerators}`,
      `Lower it to ${accelerators}.`,
    );
  }
  const fitting = Math.floor((settings.cpus_per_node ?? Number.POSITIVE_INFINITY) / (settings.cores_per_worker ?? 1));
  if (settings.max_workers_per_node > fitting) {
    refuse(
      'max_workers_per_node',
      `${settings.max_workers_per_node} workers need more than the ${settings.cpus_per_node} cores of a node: the endpoint would start only ${fitting}`,
      `Lower it to ${fitting}, or set cores_per_worker below 1.`,
    );
  }
  if (settings.init_blocks > maxBlocks) refuse('init_blocks', `is above max_blocks ${maxBlocks}`, 'Lower it.');
  if (settings.min_blocks > maxBlocks) refuse('min_blocks', `is above max_blocks ${maxBlocks}`, 'Lower it.');
  if (settings.heartbeat_threshold < 2 * settings.heartbeat_period)
    refuse('heartbeat_threshold', `is below twice heartbeat_period ${settings.heartbeat_period}`, 'Raise it.');
  if (settings.nodes_per_block > 1 && ['single_node', 'simple'].includes(launcher.type) && scheduler !== 'local')
    refuse('launcher', `type ${launcher.type} starts workers on the first of ${settings.nodes_per_block} nodes only`, 'Use mpiexec.');
  if (launcher.bind_cmd !== undefined && launcher.type !== 'mpiexec') refuse('launcher', 'bind_cmd exists for mpiexec only', 'Remove it.');
  if (launcher.overrides !== undefined && ['single_node', 'simple'].includes(launcher.type))
    refuse('launcher', `overrides do not exist for ${launcher.type}`, 'Remove them.');
  for (const key of ['account', 'queue', 'walltime', 'scheduler_options'] as const) {
    if (scheduler === 'local' && settings[key] !== undefined)
      refuse(key, 'has no meaning with scheduler: local', 'Remove it, or name the scheduler.');
  }
  if (scheduler !== 'pbs' && settings.select_options !== undefined) refuse('select_options', 'exists for PBS only', 'Remove it.');
  if (scheduler !== 'local' && settings.account === undefined)
    refuse('account', 'is missing: the scheduler charges it', 'Name your project.');
  if (scheduler !== 'local' && settings.walltime === undefined) refuse('walltime', 'is missing', 'Give HH:MM:SS in quotes.');
  if (settings.scheduler_options?.split('\n').some((line) => line.trim() !== '' && !/^#(PBS|SBATCH)\s/.test(line.trim())))
    refuse('scheduler_options', 'holds a line that is no directive', 'Each line must begin with #PBS or #SBATCH.');
});
export type EndpointSettings = z.infer<typeof endpointSettings>;

function acceleratorCount(value: number | readonly string[] | undefined): number | undefined {
  return typeof value === 'number' ? value : value?.length;
}

/** Trials that can run at once: workers × nodes × blocks. */
export function workersOf(settings: EndpointSettings): number {
  return settings.max_workers_per_node * settings.nodes_per_block * settings.max_blocks;
}

/** Why a campaign with so many trials at once would not use the endpoint as meant; undefined when it fits (row S26). */
export function concurrencyWarning(settings: EndpointSettings, maxConcurrent: number): string | undefined {
  const workers = workersOf(settings);
  if (maxConcurrent <= workers) return undefined;
  const sum = `${settings.max_workers_per_node} workers × ${settings.nodes_per_block} nodes × ${settings.max_blocks} blocks`;
  return `max_concurrent ${maxConcurrent} is above the ${workers} workers of the endpoint (${sum}): ${maxConcurrent - workers} trials would wait in its queue. Lower it, or raise max_blocks.`;
}
