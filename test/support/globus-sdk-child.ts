import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { cacheFolder, packageRoot } from '../../src/package-root.ts';

/** The Python that has globus-compute-endpoint installed: HOLDFAST_TEST_PYTHON, or the test environment in .cache. */
export const GLOBUS_PYTHON = process.env.HOLDFAST_TEST_PYTHON ?? join(cacheFolder(), 'python-test', 'bin', 'python');
export const HAS_GLOBUS_PYTHON = existsSync(GLOBUS_PYTHON);

/** What the endpoint's worker code made of one task; absent data: the worker died. */
export interface WorkerEnd {
  readonly waitStatus: number;
  readonly data?: string;
  readonly failed?: boolean;
  readonly code?: string | null;
}

export interface RunningTask {
  readonly pid: number;
  readonly ended: Promise<WorkerEnd>;
}

/** The real Globus Compute package in one long-lived Python process (test/support/globus-sdk-child.py). */
export class GlobusSdkChild {
  #child: ChildProcessWithoutNullStreams;
  #next = 1;
  #waiting = new Map<number, { readonly take: (message: Record<string, unknown>) => void; readonly fail: (error: Error) => void }>();
  #errors = '';
  readonly ready: Promise<void>;

  /** `port`: the tasks see a worker pool of the engine with this port as their parent. */
  constructor(port = 54_000) {
    const script = join(packageRoot(), 'test', 'support', 'globus-sdk-child.py');
    this.#child = spawn(GLOBUS_PYTHON, [script, 'process_worker_pool.py', `--port=${port}`], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, PYTHONPATH: '' },
    });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-20_000);
    });
    let announce: () => void;
    this.ready = new Promise((resolve, reject) => {
      announce = resolve;
      this.#child.once('exit', (code) => {
        const error = new Error(`Python child ended (${code}): ${this.#errors}`);
        reject(error);
        for (const { fail } of this.#waiting.values()) fail(error);
      });
    });
    this.ready.catch(() => undefined);
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const message = JSON.parse(line) as Record<string, unknown>;
      if ('ready' in message) announce();
      else this.#waiting.get(message.id as number)?.take(message);
    });
  }

  get errors(): string {
    return this.#errors;
  }

  /** Each payload (packed arguments) through the real SDK and back as a JSONData text of [args, kwargs]. */
  async roundTrip(payloads: readonly string[]): Promise<string[]> {
    await this.ready;
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {
        fail: reject,
        take: (message) => {
          this.#waiting.delete(id);
          resolve(message.texts as string[]);
        },
      });
      this.#send({ do: 'roundtrip', id, payloads });
    });
  }

  /** Runs one task buffer with the endpoint's own execute_task in a forked worker. */
  async execute(task: {
    taskId: string;
    buffer: string;
    serializers: readonly string[];
    runDirectory: string;
    env?: Readonly<Record<string, string>>;
    allowed?: readonly string[];
  }): Promise<RunningTask> {
    await this.ready;
    const id = this.#next++;
    return new Promise((resolveStarted, reject) => {
      let resolveEnded: (end: WorkerEnd) => void;
      let rejectEnded: (error: Error) => void;
      const ended = new Promise<WorkerEnd>((resolve, fail) => {
        resolveEnded = resolve;
        rejectEnded = fail;
      });
      ended.catch(() => undefined);
      this.#waiting.set(id, {
        fail: (error) => {
          reject(error);
          rejectEnded(error);
        },
        take: (message) => {
          if ('started' in message) return resolveStarted({ pid: message.started as number, ended });
          this.#waiting.delete(id);
          const result = message.result as { data: string; failed: boolean; code: string | null } | undefined;
          resolveEnded({ waitStatus: message.ended as number, ...result });
        },
      });
      this.#send({
        do: 'execute',
        id,
        task_id: task.taskId,
        buffer: task.buffer,
        serializers: task.serializers,
        run_dir: task.runDirectory,
        env: task.env ?? {},
        ...(task.allowed === undefined ? {} : { allowed: task.allowed }),
      });
    });
  }

  #send(message: unknown): void {
    // Python's json reads lone surrogates from their escapes, as JSON.stringify writes them.
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await exited;
    clearTimeout(timer);
  }
}
