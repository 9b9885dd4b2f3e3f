import { stringify } from 'yaml';
import { type EndpointSettings, LAUNCHERS } from './endpoint-settings.ts';

/** The three files of an endpoint's folder that we make, by name. */
export interface EndpointFiles {
  readonly 'config.yaml': string;
  readonly 'user_config_template.yaml.j2': string;
  readonly 'user_config_schema.json': string;
}

/** What a campaign may choose per user endpoint (`user_endpoint_config`): everything else is the site's. */
const USER_OPTIONS = ['account', 'queue', 'walltime', 'nodes_per_block', 'max_blocks', 'max_workers_per_node'] as const;

/** Makes the endpoint's files. The template has no worker environment from the internet, as the stock one has: compute nodes often have none. */
export function renderEndpointFiles(settings: EndpointSettings): EndpointFiles {
  const core = { display_name: settings.display_name ?? null, email: settings.contact_email, heartbeat_period: settings.heartbeat_period };
  return {
    'config.yaml': stringify(core, { keepUndefined: false }),
    'user_config_template.yaml.j2': template(settings),
    'user_config_schema.json': `${JSON.stringify(schema(settings), null, 2)}\n`,
  };
}

const PROVIDERS = { pbs: 'PBSProProvider', slurm: 'SlurmProvider', local: 'LocalProvider' } as const;
const JINJA_OPENINGS = /\{[{%#]/g;

function template(settings: EndpointSettings): string {
  const variables = new Map<string, string>();
  /** A value that the user may override: rendered with our value as default. Texts arrive in their JSON quotes. */
  const option = (name: (typeof USER_OPTIONS)[number], value: string | number | undefined): string | undefined => {
    if (value === undefined) return undefined;
    const token = `@@${name}@@`;
    variables.set(token, `{{ ${name} | default(${typeof value === 'number' ? value : jinjaText(JSON.stringify(value))}) }}`);
    return token;
  };
  const batch = settings.scheduler !== 'local';
  const config = {
    display_name: settings.display_name,
    heartbeat_period: settings.heartbeat_period,
    heartbeat_threshold: settings.heartbeat_threshold,
    idle_heartbeats_soft: settings.idle_heartbeats_soft,
    idle_heartbeats_hard: settings.idle_heartbeats_hard,
    engine: {
      type: 'GlobusComputeEngine',
      max_retries_on_system_failure: settings.max_retries_on_system_failure,
      max_workers_per_node: option('max_workers_per_node', settings.max_workers_per_node),
      cores_per_worker: settings.cores_per_worker,
      prefetch_capacity: settings.prefetch_capacity,
      available_accelerators: settings.available_accelerators,
      heartbeat_period: settings.heartbeat_period,
      heartbeat_threshold: settings.heartbeat_threshold,
      address: settings.address_interface === undefined ? undefined : { type: 'address_by_interface', ifname: settings.address_interface },
      allowed_serializers: settings.json_only
        ? ['globus_compute_sdk.serialize.PureSourceTextInspect', 'globus_compute_sdk.serialize.JSONData']
        : undefined,
      provider: {
        type: PROVIDERS[settings.scheduler],
        ...(settings.scheduler === 'slurm'
          ? {
              partition: option('queue', settings.queue),
              account: option('account', settings.account),
              cores_per_node: settings.cpus_per_node,
            }
          : {}),
        ...(settings.scheduler === 'pbs'
          ? {
              account: option('account', settings.account),
              queue: option('queue', settings.queue),
              cpus_per_node: settings.cpus_per_node,
              select_options: settings.select_options,
            }
          : {}),
        ...(batch ? { walltime: option('walltime', settings.walltime), scheduler_options: settings.scheduler_options } : {}),
        nodes_per_block: option('nodes_per_block', settings.nodes_per_block),
        init_blocks: settings.init_blocks,
        min_blocks: settings.min_blocks,
        max_blocks: option('max_blocks', settings.max_blocks),
        launcher: { type: LAUNCHERS[settings.launcher.type], bind_cmd: settings.launcher.bind_cmd, overrides: settings.launcher.overrides },
        worker_init: settings.worker_init,
      },
    },
  };
  // ${#name} of a shell line would open a Jinja comment; ours are put in only afterwards.
  let text = stringify(config, { lineWidth: 0, keepUndefined: false }).replace(JINJA_OPENINGS, (opening) => `{{ ${jinjaText(opening)} }}`);
  for (const [token, expression] of variables) text = text.replace(new RegExp(`"?${token}"?`), () => expression);
  return text;
}

/** A Jinja string literal. */
function jinjaText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`;
}

function schema(settings: EndpointSettings): unknown {
  const words = { type: 'string', pattern: '^[\\w.:@+-]+$' };
  const number = { type: 'integer', minimum: 1 };
  const types: Readonly<Record<(typeof USER_OPTIONS)[number], unknown>> = {
    account: words,
    queue: words,
    walltime: { type: 'string', pattern: '^\\d{1,4}:[0-5]\\d:[0-5]\\d$' },
    nodes_per_block: number,
    max_blocks: number,
    max_workers_per_node: number,
  };
  const offered = USER_OPTIONS.filter((name) => settings.scheduler !== 'local' || !['account', 'queue', 'walltime'].includes(name));
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: Object.fromEntries(offered.map((name) => [name, types[name]])),
    additionalProperties: false,
  };
}
