import * as z from 'zod';
import { sshSettings } from '../ssh/settings.ts';
import { countFromZero, day, duration, environment, instant, positiveInteger, positiveNumber, text, textList } from './scalars.ts';
import { section, strict } from './section.ts';

/** Facts of one system that change from time to time, as dated YAML under config/systems: never code, never in a history. */

const range = <T extends z.ZodType>(item: () => T) => section({ min: item().exactOptional(), max: item() });

const jobLimits = section({
  queued: positiveInteger().exactOptional().meta({ description: 'Jobs queued or running at once' }),
  running: positiveInteger().exactOptional(),
});

const queueShape = {
  name: text(),
  nodes: range(positiveInteger),
  walltime: range(duration),
};

const queue = section({
  ...queueShape,
  per_user: jobLimits.exactOptional(),
  per_project: jobLimits.exactOptional(),
  routes: z.array(section(queueShape)).exactOptional().meta({ description: 'A routing queue: where its jobs end up, by size' }),
  unit: z.enum(['node', 'gpu']).default('node').meta({ description: 'What one chunk of select= is' }),
  preemptable: z.boolean().default(false).meta({ description: 'Jobs may be killed any time' }),
  by_request: z.boolean().default(false).meta({ description: 'Only after the site has allowed it' }),
  note: text().exactOptional(),
});

/** What each slot of a node gets; `{slot}` in a value is the slot's number from 0. */
const slots = section({
  per_node: positiveInteger().meta({ description: 'Trials at once on one node (GPU tiles)' }),
  per_device: positiveInteger()
    .exactOptional()
    .meta({ description: 'Slots that share one device, 1 when absent: {device} in env is the slot divided by it' }),
  env: environment().default({}).meta({ description: 'Environment of one slot; {slot} counts slots of a node from 0, {device} devices' }),
  cpus: z.array(text()).exactOptional().meta({ description: 'CPU list per slot, like 1-8; as many as slots' }),
});

const common = {
  version: z.literal(1),
  name: text(),
  title: text().exactOptional(),
  as_of: day().meta({ description: 'Day on which these facts were true' }),
  source: textList().meta({ description: 'Where they come from' }),
  env: environment().default({}).meta({ description: 'Environment of every trial' }),
  notes: z.array(text()).default([]).meta({ description: 'For people' }),
};

const remote = {
  base: text().exactOptional().meta({ description: 'Folder under which launches lie; a campaign may name its own' }),
  python: text().default('python3').meta({ description: 'Python that runs agent and training, after setup' }),
  setup: z.array(text()).default([]).meta({ description: 'Shell lines before the agent starts: modules, virtual environments' }),
};

const localProfile = section({
  ...common,
  kind: z.literal('local'),
  python: text().exactOptional().meta({ description: 'Python that runs agent and training; absent: the one that Holdfast set up' }),
  slots: z
    .union([z.literal('auto'), positiveInteger()])
    .default('auto')
    .meta({ description: 'Trials at once; auto: one per processor' }),
});

const pbsProfile = section({
  ...common,
  ...remote,
  kind: z.literal('pbs'),
  ssh: strict(sshSettings.shape),
  slots,
  queues: z.array(queue).min(1),
  default_queue: text(),
  filesystems: section({
    required: z.boolean().default(false).meta({ description: 'The site refuses jobs without -l filesystems=' }),
    known: z.array(text()).default([]),
    default: z.array(text()).default([]),
  }).exactOptional(),
  directives: section({
    select: environment().default({}).meta({ description: 'Resources of each chunk, like {system: aurora} or {ngpus: 4}' }),
    place: text().exactOptional(),
    lines: z.array(text()).default([]).meta({ description: 'Further #PBS lines, like "-k doe"' }),
  }).prefault({}),
  account_required: z.boolean().default(true),
  project_limits: jobLimits.exactOptional().meta({ description: 'Jobs of one project over all its users and queues' }),
  launcher: text().exactOptional().meta({ description: 'Starts one agent per node, like "mpiexec -n {nodes} --ppn 1"; absent: pbsdsh' }),
  poll_seconds: positiveNumber().default(60),
  allocation: section({
    command: text().meta({
      description: "Lists projects with node-hours left, in the form of ALCF's sbank-list-allocations; asked every hour",
    }),
  }).exactOptional(),
  maintenance: section({
    command: text().exactOptional().meta({ description: 'Shows reservations ahead; asked with -f before a pilot is submitted' }),
    motd: text().default('/etc/motd').meta({ description: 'File of the login node; doctor shows its lines about maintenance' }),
    nodes: positiveInteger().exactOptional().meta({
      description: "Maintenance reservations of at least so many nodes close the system; absent: three quarters of the largest queue's",
    }),
    windows: z
      .array(section({ from: instant(), until: instant(), what: text().default('maintenance') }))
      .default([])
      .meta({ description: 'Times in which the system is closed, where the command does not show them' }),
    useful: duration()
      .prefault('30m')
      .meta({ description: 'A pilot is shortened to no less than this before a closed time; below it waits' }),
    note: text().exactOptional(),
  }).exactOptional(),
});

const globusProfile = section({
  ...common,
  ...remote,
  kind: z.literal('globus_compute'),
  endpoint_id: z.uuid().exactOptional().meta({ description: 'For campaigns that name none' }),
  blocks: section({
    max: positiveInteger().default(1),
    nodes_per_block: positiveInteger().default(1),
    workers_per_node: positiveInteger().default(1),
  })
    .prefault({})
    .meta({ description: 'As in the endpoint: their product is the number of trials at once' }),
  prefetch: countFromZero().exactOptional().meta({ description: 'Trials that wait at the endpoint beyond its workers' }),
  login_days: positiveInteger().default(30).meta({ description: "Days after which the site ends a person's login; told a week before" }),
  poll_seconds: positiveNumber().default(15),
  user_endpoint_config: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .exactOptional()
    .meta({ description: "Passed to a multi-user endpoint's template" }),
});

/** One profile file. Input: the file's snake_case mapping; output: camelCase, defaults filled in, durations in seconds. */
export const profileSchema = z.discriminatedUnion('kind', [localProfile, pbsProfile, globusProfile]);

export type SystemProfile = z.output<typeof profileSchema>;
export type LocalProfile = z.output<typeof localProfile>;
export type PbsProfile = z.output<typeof pbsProfile>;
export type GlobusProfile = z.output<typeof globusProfile>;
export type PbsQueue = PbsProfile['queues'][number];

/** What slot `slot` (from 0) of a node gets in addition to the profile's environment. */
export interface SlotResources {
  readonly env: Readonly<Record<string, string>>;
  readonly cpus?: string;
}

/** Resources of every slot of one node, in the order of slots; `{slot}` and `{device}` are filled in. Slots that follow each other share a device. */
export function slotResources(slots: PbsProfile['slots']): SlotResources[] {
  return Array.from({ length: slots.perNode }, (_, slot) => {
    const device = Math.floor(slot / (slots.perDevice ?? 1));
    const fill = (value: string) => value.replaceAll('{slot}', String(slot)).replaceAll('{device}', String(device));
    const env = Object.fromEntries(Object.entries(slots.env).map(([name, value]) => [name, fill(value)]));
    const cpus = slots.cpus?.[slot];
    return cpus === undefined ? { env } : { env, cpus };
  });
}
