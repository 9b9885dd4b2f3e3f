import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CampaignSpec } from '../../src/domain/campaign.ts';
import { trialName } from '../../src/domain/ids.ts';
import type { DoneRecord, OfferRecord } from '../../src/domain/spool.ts';
import { DriverError, type LaunchPlan, type LookRequest, type LookResult, type SystemDriver } from '../../src/systems/driver.ts';
import { createGlobusDriver } from '../../src/systems/globus/driver.ts';
import type { GlobusDriverOptions } from '../../src/systems/globus/options.ts';
import { RequestBudget } from '../../src/systems/globus/request-budget.ts';
import type { Authorizer } from '../../src/systems/globus/transport.ts';
import { StandInEndpoint } from './globus-endpoint.ts';
import { GLOBUS_PYTHON, GlobusSdkChild } from './globus-sdk-child.ts';
import { GlobusStandIn } from './globus-service.ts';

/** A training that leaves a line in starts.log each time it starts, reports, and ends as its parameters say. */
const TRAINING = `
import json, os, sys, time
out = os.environ["HOLDFAST_OUT"]
params = json.load(open(os.environ["HOLDFAST_PARAMS"]))
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
os.write(fd, (os.environ["HOLDFAST_TRIAL"] + "." + os.environ["HOLDFAST_ATTEMPT"] + "\\n").encode())
print("x" * int(params.get("noise", 0)))
if "echo" in params:
    print(json.dumps({name: os.environ.get(name) for name in params["echo"].split()}))
for step in range(1, 1 + int(params.get("steps", 1))):
    with open(os.path.join(out, "metrics.jsonl"), "a") as stream:
        stream.write(json.dumps({"epoch": step, "score": params["x"] * step}) + "\\n")
    time.sleep(float(params.get("seconds", 0)))
json.dump({"score": params["x"]}, open(os.path.join(out, "results.json"), "w"))
if params.get("exit"):
    print("it goes wrong", file=sys.stderr)
sys.exit(int(params.get("exit", 0)))
`;

/** Times of the driver, shortened for tests. */
export const RIG_TIMES = {
  settle: 0.05,
  stale: 3,
  heartbeat: 0.3,
  agentPoll: 0.05,
  health: 0.5,
  lossCheck: 5,
  control: 60,
  close: 20,
} as const;

export interface Rig {
  readonly folder: string;
  readonly service: GlobusStandIn;
  readonly endpoint: StandInEndpoint;
  readonly authorizer: Authorizer;
  readonly driver: SystemDriver;
  /** A new driver on the same state: the worker was restarted. */
  restart(options?: Partial<GlobusDriverOptions>): SystemDriver;
  plan(campaign: string, changes?: Partial<CampaignSpec>): LaunchPlan;
  /** Attempts that trainings were really started for, in order. */
  starts(): string[];
  end(): Promise<void>;
}

export async function startRig(options: Partial<GlobusDriverOptions> = {}, workers = 4): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-globus-'));
  const child = new GlobusSdkChild();
  const service = await GlobusStandIn.start();
  mkdirSync(join(folder, 'tasks'));
  mkdirSync(join(folder, 'code'));
  writeFileSync(join(folder, 'code', 'train.py'), TRAINING);
  const endpoint = new StandInEndpoint(child, join(folder, 'tasks'), { workers });
  service.endpoints.set(endpoint.id, endpoint);
  await child.ready;
  let token = service.issue();
  const authorizer: Authorizer = {
    token: async () => token,
    renew: async () => {
      token = service.issue();
      return token;
    },
  };
  const starts = join(folder, 'starts.log');

  const make = (changes: Partial<GlobusDriverOptions> = {}): SystemDriver =>
    createGlobusDriver({
      name: 'globus-compute',
      stateDirectory: join(folder, 'state'),
      workingFolder: folder,
      base: join(folder, 'remote'),
      python: GLOBUS_PYTHON,
      workers,
      // A launch is prepared by five tasks one after the other, each waited for; tests with an engine give more.
      pollSeconds: 0.05,
      processEnv: {
        GLOBUS_SDK_ENVIRONMENT: 'local',
        GLOBUS_SDK_SERVICE_URL_COMPUTE: service.url,
        GLOBUS_SDK_SERVICE_URL_AUTH: service.url,
      },
      authorizer,
      budget: new RequestBudget(100_000, 10),
      backoffMs: 5,
      times: RIG_TIMES,
      ...options,
      ...changes,
    });

  return {
    folder,
    service,
    endpoint,
    authorizer,
    driver: make(),
    restart: make,
    plan: (campaign, changes = {}) => ({
      campaign,
      launch: `launch-${campaign}`,
      reportSteps: [],
      owner: { namespace: 'default', workflow_id: campaign, epoch: 1 },
      spec: { ...spec(folder, endpoint.id, starts, campaign), ...changes },
    }),
    starts: () => {
      try {
        return readFileSync(starts, 'utf8').split('\n').filter(Boolean);
      } catch {
        return [];
      }
    },
    async end() {
      endpoint.setOnline(false);
      await child.end();
      await service.end();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function spec(folder: string, endpointId: string, starts: string, name: string): CampaignSpec {
  return {
    version: 1,
    name,
    system: { name: 'globus-compute', kind: 'globus_compute', settings: { endpointId, functionTimeoutSeconds: 60, maxRetries: 2 } },
    objectives: [{ metric: 'score', direction: 'maximize', reduce: 'result' }],
    space: { parameters: [{ name: 'x', type: 'float', min: 0, max: 1 }] },
    sampler: { type: 'random', options: {} },
    enqueue: [],
    training: { command: ['{python}', '{code}/train.py', starts], bundle: join(folder, 'code'), env: {}, slots: 1 },
    budget: { trials: 1 },
    stop: { minDelta: 0 },
    limits: { hangFactor: 0, hangMinSeconds: 600, graceSeconds: 1, logBytes: 50_000_000 },
    retries: { infrastructure: 5, trial: 1 },
    workingDirs: { localBase: 'results', launchIterationPattern: '{timestamp}', jobPattern: 'job_{job_id}' },
    allowDuplicates: false,
    seed: 1,
  };
}

export function offer(campaign: string, number: number, params: OfferRecord['params'] = { x: 0.5 }, attempt = 1): OfferRecord {
  return { version: 1, campaign, trial: trialName(number), attempt, params, resume_from: null, target_step: null };
}

/** The activity's part: looks until `enough`, acknowledging what ended, trying transport errors again as the retry policy does. */
export async function lookUntil(
  driver: () => SystemDriver,
  enough: (ended: readonly DoneRecord[], last: LookResult | undefined) => boolean,
  options: {
    readonly seconds?: number;
    readonly pauseMilliseconds?: number;
    readonly onLook?: (result: LookResult | undefined) => void;
    /** Somebody resets the breaker after each refusal. */
    readonly resets?: boolean;
  } = {},
): Promise<DoneRecord[]> {
  const ended: DoneRecord[] = [];
  let acks: LookRequest['acks'] = [];
  let cursor: string | undefined;
  const deadline = Date.now() + (options.seconds ?? 120) * 1000;
  for (;;) {
    const result = await retried(
      () => driver().look({ ...(cursor === undefined ? {} : { cursor }), acks, pilots: [], waitSeconds: 0 }, new AbortController().signal),
      options.resets,
    );
    acks = [];
    if (result) {
      cursor = result.cursor;
      ended.push(...result.ended);
      acks = result.ended.map(({ campaign, trial, attempt }) => ({ campaign, trial, attempt }));
    }
    options.onLook?.(result);
    if (enough(ended, result)) {
      await retried(() => driver().look({ acks, pilots: [], waitSeconds: 0 }, new AbortController().signal), options.resets);
      return ended;
    }
    if (Date.now() > deadline)
      throw new Error(
        `not enough after ${options.seconds ?? 120} s: ${JSON.stringify(ended.map((record) => [record.trial, record.attempt, record.status]))} ${JSON.stringify(result?.notices)}`,
      );
    await new Promise((resolve) => setTimeout(resolve, options.pauseMilliseconds ?? 60));
  }
}

/**
 * What an activity's retry policy and a user do: transport errors are tried again, a needed login is made and the call repeated. With `resets` also what
 * was refused, as after `holdfast systems reset`.
 */
export async function retried<T>(call: () => Promise<T>, resets = false, tries = 60): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof DriverError) || (error.class === 'refused' && !resets) || attempt >= tries) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
