import { randomUUID } from 'node:crypto';
import type { GlobusSdkChild } from './globus-sdk-child.ts';

export interface StandInTask {
  readonly id: string;
  readonly group: string;
  readonly functionId: string;
  readonly payload: string;
  readonly serializers: readonly string[];
  readonly createdAt: string;
  /** Lower goes first; none goes last, as in parsl's high-throughput executor. */
  readonly priority?: number;
  readonly transitions: Record<string, number>;
  status: string;
  result?: string;
  exception?: string;
  completedAt?: number;
  pid?: number;
  /** Its process died with the user endpoint: it stays pending for ever (globus.md section 1.4). */
  orphaned?: boolean;
}

/** WorkerLost as the engine words it: the text stands between lines of '+' and '-'. */
const WORKER_LOST = `${'+'.repeat(68)}\nTraceback (most recent call last):\n  File "<engine>", line 1, in submit\nparsl.executors.high_throughput.errors.WorkerLost: Task failure due to loss of worker 0 on host node01\n${'-'.repeat(68)}\n`;

function rank(entry: { readonly task: StandInTask } | undefined): number {
  return entry?.task.priority ?? Number.POSITIVE_INFINITY;
}

/** An endpoint whose tasks run in the real worker code; what stands in is the broker and the engine's queue. */
export class StandInEndpoint {
  readonly id = randomUUID();
  online = true;
  version = '4.19.0';
  workers: number;
  startedAt = Date.now() / 1000;
  processId = randomUUID();
  /** So many trials yet to come are lost with their worker before anything of them has run. */
  losing = 0;
  /** Runs of the worker code, by task. */
  executed = 0;
  #child: GlobusSdkChild;
  readonly #runDirectory: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #queue: { task: StandInTask; buffer: string }[] = [];
  readonly #running = new Set<StandInTask>();
  readonly #idle: (() => void)[] = [];

  constructor(
    child: GlobusSdkChild,
    runDirectory: string,
    options: { readonly workers?: number; readonly env?: Readonly<Record<string, string>> } = {},
  ) {
    this.#child = child;
    this.#runDirectory = runDirectory;
    this.#env = options.env ?? {};
    this.workers = options.workers ?? 4;
  }

  get running(): readonly StandInTask[] {
    return [...this.#running];
  }

  get queued(): number {
    return this.#queue.length;
  }

  enqueue(task: StandInTask, buffer: string): void {
    this.#transition(task, 'waiting-for-ep');
    this.#queue.push({ task, buffer });
    this.#pump();
  }

  setOnline(online: boolean): void {
    this.online = online;
    this.#pump();
  }

  /** The worker process of one task dies; the engine sees it and fails the task. */
  killWorker(task: StandInTask): void {
    try {
      if (task.pid !== undefined) process.kill(task.pid, 'SIGKILL');
    } catch (error) {
      // It has just ended by itself.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  /** The user-endpoint process dies with its workers: what it held stays pending for ever, a new process starts. */
  killProcess(): void {
    for (const task of this.#running) {
      task.orphaned = true;
      this.killWorker(task);
    }
    this.processId = randomUUID();
    this.startedAt = Date.now() / 1000;
  }

  /** The process that is started after one died has an engine of its own. Returns the one before. */
  useEngine(child: GlobusSdkChild): GlobusSdkChild {
    const before = this.#child;
    this.#child = child;
    return before;
  }

  /** What waits in the user-endpoint process is gone with it, and stays pending for ever. */
  loseQueued(): void {
    this.#queue.length = 0;
  }

  async idle(): Promise<void> {
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #transition(task: StandInTask, status: string): void {
    task.status = status;
    task.transitions[status] = Date.now() / 1000;
  }

  #pump(): void {
    while (this.online && this.#running.size < this.workers) {
      const first = this.#queue.reduce((best, entry, index, all) => (rank(entry) < rank(all[best]) ? index : best), 0);
      const [next] = this.#queue.splice(first, 1);
      if (!next) return;
      this.#running.add(next.task);
      void this.#run(next.task, next.buffer);
    }
  }

  async #run(task: StandInTask, buffer: string): Promise<void> {
    this.executed++;
    try {
      // Small tasks have a priority, trials have none.
      if (this.losing > 0 && task.priority === undefined) {
        this.losing--;
        this.#finish(task, 'failed', WORKER_LOST);
        return;
      }
      const running = await this.#child.execute({
        taskId: task.id,
        buffer,
        serializers: task.serializers,
        runDirectory: this.#runDirectory,
        env: this.#env,
      });
      task.pid = running.pid;
      this.#transition(task, 'running');
      const end = await running.ended;
      if (task.orphaned) return;
      if (end.data === undefined) this.#finish(task, 'failed', WORKER_LOST);
      else this.#finish(task, end.failed ? 'failed' : 'success', end.data);
    } catch (error) {
      this.#finish(task, 'failed', String(error));
    } finally {
      this.#running.delete(task);
      if (this.#running.size === 0) for (const wake of this.#idle.splice(0)) wake();
      this.#pump();
    }
  }

  #finish(task: StandInTask, status: 'success' | 'failed', text: string): void {
    if (status === 'success') task.result = text;
    else task.exception = text;
    task.completedAt = Date.now() / 1000;
    task.transitions['execution-end'] = task.completedAt;
    task.status = status;
  }
}
