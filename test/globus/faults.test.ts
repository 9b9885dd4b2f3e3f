import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DoneRecord } from '../../src/domain/spool.ts';
import { DriverError, type SystemDriver } from '../../src/systems/driver.ts';
import { lookUntil, offer, type Rig, retried, startRig } from '../support/globus-rig.ts';
import { HAS_GLOBUS_PYTHON } from '../support/globus-sdk-child.ts';
import type { Fault } from '../support/globus-service.ts';

const INJECTIONS = Number(process.env.HOLDFAST_FAULT_INJECTIONS ?? 500);

/** A small deterministic generator (xorshift), so that a printed seed brings the same faults back. */
function generator(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const FAULTS: readonly Fault[] = [
  { kind: 'dropBefore' },
  { kind: 'dropAfter' },
  { kind: 'truncated' },
  { kind: 'statusAfter', status: 502 },
  { kind: 'statusAfter', status: 504 },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503, retryAfter: '0' },
  { kind: 'status', status: 429, retryAfter: '0' },
  { kind: 'status', status: 401 },
  { kind: 'status', status: 403, body: '<html>Attention Required</html>' },
  { kind: 'status', status: 404, body: '<html>404 Not Found (nginx)</html>' },
  { kind: 'status', status: 404, body: '{"code": "ENDPOINT_NOT_FOUND", "detail": "injected"}' },
  { kind: 'status', status: 403, body: '{"code": "ConsentRequired", "authorization_parameters": {"session_required_mfa": true}}' },
  { kind: 'status', status: 403, body: '{"code": "ENDPOINT_ACCESS_FORBIDDEN", "detail": "injected"}' },
  { kind: 'status', status: 413 },
  { kind: 'status', status: 422 },
  { kind: 'status', status: 423 },
  { kind: 'status', status: 200, body: '{"response": "batch"' },
  { kind: 'slow', milliseconds: 30 },
];

/** Tasks that one submission carries. */
function payloadsIn(body: unknown): number {
  const { tasks } = (body ?? {}) as { tasks?: Record<string, readonly string[]> };
  return Object.values(tasks ?? {}).reduce((sum, payloads) => sum + payloads.length, 0);
}

describe.skipIf(!HAS_GLOBUS_PYTHON)('with everything going wrong', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig?.end());

  it(`${INJECTIONS} faults later no trial was doubled and none was lost`, { timeout: 600_000 }, async () => {
    const seed = Number(process.env.HOLDFAST_SEED ?? (Date.now() % 2 ** 30) + 1);
    console.log(`seed ${seed}`);
    const random = generator(seed);
    const counts = new Map<string, number>();
    let injected = 0;
    const count = (name: string) => {
      injected++;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    };
    const worker = new MortalWorker(rig);
    const isSuffering = () => injected < INJECTIONS;
    await worker.driver.prepareLaunch(rig.plan('storm'), () => undefined);

    rig.service.fault = (exchange) => {
      const isSubmit = exchange.path.endsWith('/submit');
      if (isSuffering() && isSubmit && exchange.body && 'task_group_id' in (exchange.body as object) && random() < 0.15) {
        count('worker of ours killed while it submitted');
        worker.die();
        return { kind: random() < 0.7 ? 'dropAfter' : 'dropBefore' };
      }
      if (!isSuffering() || random() > (isSubmit ? 0.6 : 0.45)) return undefined;
      const fault = FAULTS[Math.floor(random() * FAULTS.length)] as Fault;
      // One trial that is too large alone fails for good, as it should; here only batches are.
      if (fault.kind === 'status' && fault.status === 413 && payloadsIn(exchange.body) < 2) return undefined;
      count(`${isSubmit ? 'submit' : 'other'} ${fault.kind}${'status' in fault ? ` ${fault.status}` : ''}`);
      return fault;
    };

    let next = 1;
    const open = new Set<string>();
    const sendSome = async () => {
      const orders = Array.from({ length: 1 + Math.floor(random() * 3) }, () => ({
        kind: 'offer' as const,
        campaign: 'storm',
        offer: offer('storm', next++, { x: 0.5, steps: 2, seconds: 0.05 }),
      }));
      for (const order of orders) open.add(order.offer.trial);
      await retried(() => worker.driver.send(orders), true);
    };
    /** Kinds of violence with their share of the looks, and how often at most: each is a fault only while something is in flight. */
    const most = (name: string, limit: number) => (counts.get(name) ?? 0) < limit;
    const disturb = () => {
      const dice = random();
      const victim = rig.endpoint.running[Math.floor(random() * rig.endpoint.running.length)];
      if (dice < 0.12 && victim && most('worker killed', 25)) {
        count('worker killed');
        rig.endpoint.killWorker(victim);
      } else if (dice < 0.16 && rig.endpoint.running.length > 0 && most('endpoint process killed', 10)) {
        count('endpoint process killed');
        rig.endpoint.killProcess();
      } else if (dice < 0.24 && most('agent killed', 15) && killAgent(rig, 'launch-storm', random())) {
        count('agent killed');
      } else if (dice < 0.32 && most('worker of ours restarted', 40)) {
        count('worker of ours restarted');
        worker.die();
      } else if (dice < 0.4) {
        const done = [...rig.service.tasks.values()].filter(
          (task) => task.status === 'success' && [...open].some((trial) => task.result?.includes(trial)),
        );
        const task = done[Math.floor(random() * done.length)];
        if (task) {
          count('result forgotten');
          rig.service.forget(task, (['gone', 'no-result', 'abandoned'] as const)[Math.floor(random() * 3)] ?? 'gone');
        }
      } else if (dice < 0.46 && most('endpoint offline or online', 30)) {
        count('endpoint offline or online');
        rig.endpoint.setOnline(!rig.endpoint.online);
      } else if (dice < 0.5 && most('tokens expired', 20)) {
        count('tokens expired');
        rig.service.tokens.clear();
      }
    };
    const sending = (async () => {
      while (isSuffering()) {
        if (open.size < 8) await sendSome();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    const ended = await lookUntil(
      () => worker.driver,
      (records) => !isSuffering() && new Set(records.map((record) => record.trial)).size >= next - 1,
      {
        seconds: 500,
        resets: true,
        pauseMilliseconds: 20,
        onLook: (result) => {
          for (const record of result?.ended ?? []) open.delete(record.trial);
          if (isSuffering() && open.size > 0) disturb();
          if (!isSuffering()) rig.endpoint.setOnline(true);
        },
      },
    );
    await sending;

    const starts = rig.starts();
    const names = Array.from({ length: next - 1 }, (_, index) => `trial-${String(index + 1).padStart(4, '0')}.1`);
    const once = (records: readonly DoneRecord[]) => new Map(records.map((record) => [`${record.trial}.${record.attempt}`, record]));
    const verdicts = new Map<string, number>();
    for (const record of once(ended).values()) {
      const verdict = record.error?.class ?? record.status;
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    }
    console.log(
      JSON.stringify({
        seed,
        injections: Object.fromEntries(counts),
        verdicts: Object.fromEntries(verdicts),
        starts: starts.length,
        executed: rig.endpoint.executed,
        submissions: rig.service.exchanges.filter((exchange) => exchange.path.endsWith('/submit')).length,
      }),
    );
    // Doubled: a training that was started twice for the same attempt.
    expect(starts.length, `seed ${seed}`).toBe(new Set(starts).size);
    // Lost: an attempt without an end.
    expect([...once(ended).keys()].sort(), `seed ${seed}`).toEqual(names);
    // What ended by itself has its value, however often the answer was lost on the way.
    for (const record of once(ended).values()) {
      if (record.status === 'completed') expect(record.values, record.trial).toEqual([0.5]);
      else expect(['lost', 'node_failure'], `${record.trial} seed ${seed}: ${JSON.stringify(record.error)}`).toContain(record.error?.class);
    }
  });
});

/** A worker of ours that can die at any instant: what it was doing is cut off, and the next one begins with what is on disk. */
class MortalWorker {
  readonly #rig: Rig;
  driver: SystemDriver;
  #kill: (error: Error) => void = () => undefined;

  constructor(rig: Rig) {
    this.#rig = rig;
    this.driver = this.#born();
  }

  die(): void {
    this.#kill(new DriverError('transport', 'TEST-DIED', 'the worker died'));
    this.driver = this.#born();
  }

  #born(): SystemDriver {
    let isDead = false;
    const death = new Promise<never>((_, reject) => {
      this.#kill = (error) => {
        isDead = true;
        reject(error);
      };
    });
    death.catch(() => undefined);
    const never = new Promise<never>(() => undefined);
    const { authorizer } = this.#rig;
    // A dead process sends nothing and writes nothing: it waits for its next token for ever.
    const driver = this.#rig.restart({
      authorizer: { token: () => (isDead ? never : authorizer.token()), renew: (token) => (isDead ? never : authorizer.renew(token)) },
    });
    return {
      ...driver,
      prepareLaunch: (...args) => Promise.race([driver.prepareLaunch(...args), death]),
      send: (...args) => Promise.race([driver.send(...args), death]),
      look: (...args) => Promise.race([driver.look(...args), death]),
    };
  }
}

/** Kills one living agent of the launch, as a node failure would; its keeper may still see the training to its end. */
function killAgent(rig: Rig, launch: string, dice: number): boolean {
  const pilots = join(rig.folder, 'remote', launch, 'pilots');
  if (!existsSync(pilots)) return false;
  const living = readdirSync(pilots, { withFileTypes: true }).flatMap((entry) => {
    try {
      const beat = JSON.parse(readFileSync(join(pilots, entry.name, 'heartbeat.json'), 'utf8')) as { pid: number; state: string };
      return beat.state === 'running' ? [beat.pid] : [];
    } catch {
      return [];
    }
  });
  const pid = living[Math.floor(dice * living.length)];
  if (pid === undefined) return false;
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('agent.py')) return false;
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}
