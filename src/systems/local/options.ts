import { existsSync } from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import path from 'node:path';
import { cacheFolder } from '../../package-root.ts';

export interface LocalDriverOptions {
  /** The system's name. Default `local`. */
  readonly name?: string;
  /** Trials at once. Default, and `auto`: one per processor. */
  readonly slots?: number | 'auto';
  /** What {python} stands for and what runs the agent. Default: HOLDFAST_PYTHON, the Python that Holdfast set up for itself, python3. */
  readonly python?: string;
  /** Environment of every trial, under the campaign's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Per slot: variables and processors, e.g. {env: {CUDA_VISIBLE_DEVICES: '1'}, cpus: [4, 5, 6, 7]}. At least one row per slot. */
  readonly slotSettings?: readonly { readonly env?: Readonly<Record<string, string>>; readonly cpus?: readonly number[] }[];
  /** Where the system remembers its launches. Default: `$XDG_STATE_HOME/holdfast/systems/<name>`. The same after a restart of the worker. */
  readonly stateDirectory?: string;
  /** What relative paths of campaigns (local_base, bundle, data.dir) start from. Default: the folder the worker was started in. */
  readonly workingDirectory?: string;
  /** Seconds without work after which an agent ends by itself; the workflow starts another when there is work again. Default 1800. */
  readonly idleExitSeconds?: number;
}

export interface LocalSettings {
  readonly name: string;
  readonly slots: number;
  readonly python: string;
  readonly env: Readonly<Record<string, string>>;
  readonly slotSettings: NonNullable<LocalDriverOptions['slotSettings']>;
  /** Folder of what is registered; of one server's campaigns once it is known which it is. */
  registry: string;
  readonly workingDirectory: string;
  readonly idleExitSeconds: number;
}

/** Options with every default filled in. */
export function localSettings(options: LocalDriverOptions): LocalSettings {
  const name = options.name ?? 'local';
  const state = options.stateDirectory ?? path.join(stateHome(), 'holdfast', 'systems', encodeURIComponent(name));
  return {
    name,
    slots: options.slots === undefined || options.slots === 'auto' ? availableParallelism() : options.slots,
    python: options.python ?? defaultPython(),
    env: options.env ?? {},
    slotSettings: options.slotSettings ?? [],
    registry: path.join(state, 'launches'),
    workingDirectory: options.workingDirectory ?? process.cwd(),
    idleExitSeconds: options.idleExitSeconds ?? 1800,
  };
}

function stateHome(): string {
  const named = process.env.XDG_STATE_HOME;
  return named !== undefined && path.isAbsolute(named) ? named : path.join(homedir(), '.local', 'state');
}

/** HOLDFAST_PYTHON, then the environment that set-up made, then python3. */
export function defaultPython(): string {
  const own = path.join(cacheFolder(), 'python', 'bin', 'python');
  return process.env.HOLDFAST_PYTHON || (existsSync(own) ? own : 'python3');
}
