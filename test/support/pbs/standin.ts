import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** One queue of the stand-in; names as in server.py. */
export interface StandInQueue {
  readonly max_nodes?: number;
  readonly min_nodes?: number;
  readonly max_walltime?: string;
  readonly min_walltime?: string;
  readonly max_queued?: number;
  readonly max_run?: number;
  /** Jobs of one account, over all users. */
  readonly max_queued_project?: number;
  readonly enabled?: boolean;
  readonly started?: boolean;
  readonly route?: readonly string[];
  readonly from_route_only?: boolean;
}

export interface StandInSettings {
  readonly server?: string;
  readonly queues?: Readonly<Record<string, StandInQueue>>;
  readonly default_queue?: string;
  readonly nodes?: readonly string[];
  readonly rules?: Readonly<Record<string, unknown>>;
  readonly history?: boolean;
  readonly history_seconds?: number;
  readonly start_delay?: number;
  readonly kill_delay?: number;
  readonly orphans_submit?: boolean;
  /** A qstat that knows neither -E nor -w. */
  readonly old_client?: boolean;
  /** What `pbs_rstat -f` shows; seconds since the epoch, `nodes` of the stand-in's first ones (default: all). */
  readonly reservations?: readonly {
    readonly id: string;
    readonly name?: string;
    readonly start: number;
    readonly end: number;
    readonly nodes?: number;
    readonly state?: string;
  }[];
}

/** A fault of one coming command; see client.py. */
export interface StandInFault {
  readonly command: 'qsub' | 'qstat' | 'qdel' | 'qselect' | 'pbsnodes' | 'pbs_rstat';
  readonly fault: 'delay' | 'hang' | 'hang_after' | 'die_before' | 'die_after' | 'drop' | 'truncate' | 'corrupt' | 'exit';
  /** Commands of this kind that go well before. */
  readonly after?: number;
  readonly times?: number;
  readonly seconds?: number;
  readonly share?: number;
  readonly exit?: number;
  readonly stderr?: string;
}

export interface StandInEvent {
  readonly event:
    | 'submit'
    | 'start'
    | 'end'
    | 'delete'
    | 'vanish'
    | 'forget'
    | 'requeue'
    | 'orphan'
    | 'unheard'
    | 'qdel-empty'
    | 'kill'
    | 'hold'
    | 'release'
    | 'move'
    | 'alter';
  readonly id?: string;
  readonly name?: string;
  readonly exit?: number;
  readonly run_count?: number;
  readonly at: number;
}

/** Queues and rules after the public guide of the ALCF, as in the recorded cases. */
const DEFAULTS = {
  server: 'aurora-pbs-0001.hostmgmt.cm.aurora.test',
  default_queue: 'debug',
  nodes: ['node-0001', 'node-0002', 'node-0003', 'node-0004'],
  rules: { account: true, accounts: ['hpo_proj'], filesystems: true, keep_doe: true, resource: 'aurora' },
  queues: {
    debug: { max_nodes: 2, max_walltime: '01:00:00' },
    'debug-scaling': { max_nodes: 4, min_walltime: '00:05:00', max_walltime: '01:00:00', max_queued: 1 },
    capacity: { max_nodes: 16, max_walltime: '168:00:00', max_queued: 5, max_run: 2 },
    prod: { route: ['small', 'large'] },
    small: { from_route_only: true, max_nodes: 2, max_walltime: '12:00:00' },
    large: { from_route_only: true, min_nodes: 3, max_nodes: 8, max_walltime: '24:00:00' },
  },
};

const HERE = fileURLToPath(new URL('.', import.meta.url));
const COMMANDS = ['qsub', 'qstat', 'qdel', 'qselect', 'pbsnodes', 'pbs_rstat', 'pbsadmin'];

/** The real interpreter: a version manager's shim would cost each command 0.1 s. */
export const realPython = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim();

/** A PBS on this computer: a server process, and commands in `binDirectory`. Call `close` at the end. */
export class PbsStandIn {
  readonly directory: string;
  readonly binDirectory: string;
  /** Home of the user on the "login node". */
  readonly home: string;
  /** Owner of the jobs: whoever logs in, as on a real system. Otherwise `qselect -u` would find none of ours. */
  readonly user = userInfo().username;
  #server: ChildProcess | undefined;

  private constructor(directory: string) {
    this.directory = directory;
    this.binDirectory = join(directory, 'bin');
    this.home = join(directory, 'home');
  }

  static async start(settings: StandInSettings = {}): Promise<PbsStandIn> {
    const standIn = new PbsStandIn(mkdtempSync(join(tmpdir(), 'holdfast-pbs-')));
    mkdirSync(standIn.binDirectory);
    mkdirSync(standIn.home);
    const wrapper = (script: string, name: string) =>
      writeFileSync(
        join(standIn.binDirectory, name),
        `#!/bin/sh\nPBS_STANDIN='${standIn.directory}' exec '${realPython}' -IS '${join(HERE, script)}' ${name} "$@"\n`,
        { mode: 0o755 },
      );
    for (const name of COMMANDS) wrapper('client.py', name);
    for (const name of ['mpiexec', 'pbsdsh']) wrapper('mpiexec.py', name);
    // A login shell's profile may set PATH anew.
    writeFileSync(join(standIn.home, '.bash_profile'), `export PATH='${standIn.path}'\n`);
    writeFileSync(join(standIn.binDirectory, 'hostname'), '#!/bin/sh\necho "$HOLDFAST_HOST_NAME"\n', { mode: 0o755 });
    writeFileSync(join(standIn.directory, 'log.jsonl'), '');
    writeFileSync(join(standIn.directory, 'commands.log'), '');
    writeFileSync(join(standIn.directory, 'settings.json'), JSON.stringify({ ...DEFAULTS, job_path: standIn.path, ...settings }));
    await standIn.startServer();
    return standIn;
  }

  /** PATH of logins and jobs: our commands, the real python3, then the system's. */
  get path(): string {
    return `${this.binDirectory}:${join(realPython, '..')}:/usr/local/bin:/usr/bin:/bin`;
  }

  /** Environment of a login on this "system". */
  get env(): Record<string, string> {
    const { user } = this;
    return { PATH: this.path, HOME: this.home, USER: user, LOGNAME: user, PBS_STANDIN_USER: user, LANG: 'C.UTF-8' };
  }

  async startServer(): Promise<void> {
    const server = spawn(realPython, ['-IS', join(HERE, 'server.py'), this.directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env },
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: server.stdout as NodeJS.ReadableStream }).once('line', () => resolve());
      server.once('exit', (code) => reject(new Error(`the PBS stand-in ended with ${code}`)));
    });
    server.removeAllListeners('exit');
  }

  /** Every command hangs until `resume`, as with a stopped server. */
  hang(): void {
    writeFileSync(join(this.directory, 'hung'), '');
  }

  resume(): void {
    rmSync(join(this.directory, 'hung'), { force: true });
  }

  /** "Connection refused" until `startServer`; jobs and history are lost, as with a server made anew (R24). */
  async stopServer(): Promise<void> {
    const server = this.#server;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      server.once('exit', () => resolve());
      server.kill('SIGKILL');
    });
    rmSync(join(this.directory, 'socket'), { force: true });
  }

  /** Faults of coming commands; they replace what was planned before. */
  plan(faults: readonly StandInFault[]): void {
    if (faults.length === 0) rmSync(join(this.directory, 'faults.json'), { force: true });
    else writeFileSync(join(this.directory, 'faults.json'), JSON.stringify(faults));
  }

  /**
   * What an operator does: `set` {"queues/debug/started": false}, `requeue`, `kill`, `forget`, `hold`, `release` {id},
   * `move` {id, queue}, `alter` {id, walltime}, `scheduling` {on}.
   */
  admin(order: string, values: Readonly<Record<string, unknown>> = {}): string {
    const answer = spawnSync(join(this.binDirectory, 'pbsadmin'), [order, JSON.stringify(values)], { env: this.env, encoding: 'utf8' });
    if (answer.status !== 0) throw new Error(`pbsadmin ${order}: ${answer.stderr}`);
    return answer.stdout;
  }

  /** A command as a user types it. */
  command(name: string, args: readonly string[], input = '', user = this.user): { exit: number | null; stdout: string; stderr: string } {
    const env = { ...this.env, PBS_STANDIN_USER: user };
    const answer = spawnSync(join(this.binDirectory, name), args, { env, cwd: this.home, encoding: 'utf8', input });
    return { exit: answer.status, stdout: answer.stdout, stderr: answer.stderr };
  }

  jobs(): readonly { readonly id: string; readonly name: string; readonly state: string; readonly exit: number | null }[] {
    return JSON.parse(this.admin('jobs'));
  }

  /** The judge: everything that happened, in order. */
  events(): readonly StandInEvent[] {
    return wholeLines(join(this.directory, 'log.jsonl')).map((line) => JSON.parse(line) as StandInEvent);
  }

  /** Commands that were called, oldest first; `at` in seconds since the epoch. */
  commands(): readonly { readonly at: number; readonly command: string; readonly fault: string; readonly args: readonly string[] }[] {
    return wholeLines(join(this.directory, 'commands.log')).map((line) => {
      const [at = '', command = '', fault = '', ...rest] = line.split(' ');
      return { at: Number(at), command, fault, args: JSON.parse(rest.join(' ')) as string[] };
    });
  }

  async close(): Promise<void> {
    const pids = this.events().flatMap((event) => (event.event === 'start' ? [(event as StandInEvent & { pid: number }).pid] : []));
    await this.stopServer();
    for (const pid of pids) {
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
    if (existsSync(this.directory)) rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Lines of a file that others write to; the last one may be in the making. */
function wholeLines(file: string): string[] {
  return readFileSync(file, 'utf8').split('\n').slice(0, -1);
}
