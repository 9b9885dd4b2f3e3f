import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { DoneRecord } from '../../domain/spool.ts';
import {
  DriverError,
  type LookRequest,
  type LookResult,
  RECALL_REASON,
  type SentOrders,
  type SystemDriver,
  type SystemOrder,
} from '../driver.ts';
import { aliveAnswer, stopAnswer } from './answers.ts';
import { AUTH_METHODS, type AuthMethod } from './authorizer.ts';
import { type CampaignFacts, factsStore, newAttempt } from './campaign-facts.ts';
import {
  type AskedTasks,
  type CampaignLook,
  type CampaignWatch,
  lookAtCampaign,
  newWatch,
  sendStops,
  taskIds,
  watchNotices,
} from './campaign-watch.ts';
import { collectFiles } from './collect-files.ts';
import { connect } from './connection.ts';
import { type ControlOptions, control, submitControl, type TaskTarget } from './control-tasks.ts';
import { holdState } from './hold-state.ts';
import { loginEnd, loginWarning } from './login-end.ts';
import { campaignSettings, DEFAULT_TIMES, type GlobusDriverOptions, INLINE_BYTES } from './options.ts';
import { openGroup, prepareLaunch } from './prepare-launch.ts';
import { rebuildFacts } from './rebuild-facts.ts';
import { type SubmitContext, submitAttempts } from './submit-trials.ts';
import { createTaskShell } from './task-shell.ts';
import { watchHealth } from './watch-health.ts';
import { busySlots, nameOf, PILOT, sight } from './watch-trials.ts';

/**
 * Trials as Globus Compute tasks: no ssh, no Python on this computer. The endpoint is the pilot; each offer is a task that runs the agent's
 * single-trial entry, whose claim on the endpoint's file system makes a second copy harmless. Submissions are written down before they are made, ends are
 * believed from the task's result or from the done record on the file system, and silence is never an end.
 */
export function createGlobusDriver(options: GlobusDriverOptions): SystemDriver {
  const times = { ...DEFAULT_TIMES, ...options.times };
  const pollSeconds = options.pollSeconds ?? 15;
  const store = factsStore(join(options.stateDirectory, 'campaigns'));
  const connection = connect(options);
  const campaigns = new Map<string, CampaignFacts>();
  const watches = new Map<string, CampaignWatch>();
  const locks = new Map<string, Promise<unknown>>();
  /** Campaigns that this process has closed: not known any more, and not lost. */
  const closed = new Set<string>();
  let loading: Promise<void> | undefined;
  let loginSeen: { readonly at: number; readonly notices: readonly string[] } = { at: Number.NEGATIVE_INFINITY, notices: [] };

  async function ready(): Promise<void> {
    loading ??= holdState(options.stateDirectory)
      .then(() => store.load())
      .then((found) => {
        for (const facts of found) campaigns.set(facts.campaign, facts);
      });
    try {
      await loading;
    } catch (error) {
      loading = undefined;
      throw error;
    }
  }

  /** One call at a time works on a campaign's facts. */
  function alone<T>(campaign: string, work: () => Promise<T>): Promise<T> {
    const before = locks.get(campaign) ?? Promise.resolve();
    const next = before.then(work, work);
    locks.set(
      campaign,
      next.catch(() => undefined),
    );
    return next;
  }

  function watchOf(campaign: string): CampaignWatch {
    let watch = watches.get(campaign);
    if (!watch) {
      watch = newWatch();
      watches.set(campaign, watch);
    }
    return watch;
  }

  function targetOf(facts: CampaignFacts): TaskTarget {
    return connection.target(facts.endpointId, facts.authMethod, facts.userEndpointConfig);
  }

  function submitContext(facts: CampaignFacts): SubmitContext {
    const target = targetOf(facts);
    return {
      facts,
      target,
      save: () => store.save(facts),
      settleSeconds: times.settle,
      openGroup: () => openGroup(target, facts.directory),
      request: (offer) => ({
        op: 'trial',
        directory: facts.directory,
        agent: facts.agent,
        python: facts.python,
        setup: options.setup ?? [],
        env: options.env ?? {},
        offer,
        poll: times.agentPoll,
        heartbeat: times.heartbeat,
        stale: times.stale,
        // The agent ends the training at its limit; this ends an agent that does not.
        seconds: facts.functionTimeoutSeconds + 2 * facts.graceSeconds + 60,
        inline_bytes: INLINE_BYTES,
      }),
    };
  }

  function campaignLook(facts: CampaignFacts, signal?: AbortSignal): CampaignLook {
    return {
      facts,
      watch: watchOf(facts.campaign),
      target: targetOf(facts),
      times,
      context: submitContext(facts),
      ...(signal ? { signal } : {}),
    };
  }

  const asked = (signal?: AbortSignal): ControlOptions => ({ timeoutSeconds: times.control, pollSeconds, ...(signal ? { signal } : {}) });

  function factsOf(campaign: string): CampaignFacts {
    const facts = campaigns.get(campaign);
    if (!facts)
      throw new DriverError(
        'refused',
        'HF-GLOBUS-NO-LAUNCH',
        `campaign ${campaign} has no launch on system ${options.name}. It is prepared again when the campaign starts.`,
      );
    return facts;
  }

  async function sendTo(campaign: string, orders: readonly SystemOrder[]): Promise<Map<SystemOrder, SentOrders['answers'][number]>> {
    const facts = factsOf(campaign);
    const answers = new Map<SystemOrder, SentOrders['answers'][number]>();
    const due: string[] = [];
    for (const order of orders) {
      if (order.kind === 'stopPilot') continue;
      const name = order.kind === 'offer' ? nameOf(order.offer) : nameOf(order);
      const known = facts.attempts[name];
      if (facts.acknowledged.includes(name) || known?.ended !== undefined) {
        answers.set(order, 'done');
      } else if (order.kind === 'stop' && order.reason === RECALL_REASON) {
        answers.set(order, known === undefined ? 'unknown' : 'stopping');
      } else if (order.kind === 'offer' && known === undefined && facts.rebuilding?.uncertain.includes(name)) {
        // It may have been sent before the facts were lost: the pending tasks of the group and the file system are asked first.
        facts.rebuilding.uncertain = facts.rebuilding.uncertain.filter((other) => other !== name);
        facts.attempts[name] = newAttempt(order.offer, facts.rebuilding.strays);
        sight(watchOf(campaign).sights, name).isSuspect = true;
        answers.set(order, 'offered');
      } else if (order.kind === 'offer') {
        // What was offered before and has no task (its submission was cut off) is due again; what has one is not.
        facts.attempts[name] ??= newAttempt(order.offer);
        if (!facts.attempts[name].tasks.length && !watchOf(campaign).sights.get(name)?.isSuspect) due.push(name);
        answers.set(order, 'offered');
      } else if (known === undefined) {
        // One that was sent before the facts were lost runs perhaps, and nobody waits for its end: it stops by its file.
        if (facts.rebuilding?.uncertain.includes(name))
          await submitControl(targetOf(facts), [{ op: 'stop', directory: facts.directory, names: [name], reason: order.reason }]);
        answers.set(order, 'unknown');
      } else {
        known.stop ??= { reason: order.reason, placed: false };
        answers.set(order, 'stopping');
      }
    }
    await store.save(facts);
    await sendStops(campaignLook(facts));
    if (due.length > 0 || facts.intent !== undefined) await submitAttempts(submitContext(facts), due);
    for (const name of due) sight(watchOf(campaign).sights, name);
    return answers;
  }

  async function look(request: LookRequest, signal: AbortSignal): Promise<LookResult | undefined> {
    await ready();
    for (const { campaign, ...name } of request.acks) {
      const facts = campaigns.get(campaign);
      if (facts) await alone(campaign, () => acknowledge(facts, nameOf(name)));
    }
    const notices: string[] = [];
    const asked = await askTogether(signal);
    for (const facts of [...campaigns.values()]) {
      await alone(facts.campaign, () => lookAtCampaign({ ...campaignLook(facts, signal), ...asked.get(facts.authMethod) }));
      notices.push(...watchNotices(facts, watchOf(facts.campaign)));
    }
    notices.unshift(...(await loginNotices()));
    const all = [...campaigns.values()];
    const ended = all.flatMap((facts) => Object.values(facts.attempts).flatMap((attempt) => attempt.ended ?? []));
    const running = all
      .map((facts) => ({ campaign: facts.campaign, pilot: PILOT, busy: busySlots(facts, watchOf(facts.campaign).sights) }))
      .filter((entry) => entry.busy.length > 0);
    const cursor = createHash('sha256')
      .update(JSON.stringify([running.map(({ campaign, busy }) => [campaign, busy.map(({ run_seconds: _, ...slot }) => slot)]), notices]))
      .digest('hex');
    if (ended.length === 0 && cursor === request.cursor) return undefined;
    return { cursor, ended, running, pilots: [], broken: [], notices: notices.slice(0, 10) };
  }

  /** One status request for the pending tasks of all campaigns, for each login that they use. */
  async function askTogether(signal: AbortSignal): Promise<Map<AuthMethod, { readonly asked: AskedTasks }>> {
    const idsOf = new Map<AuthMethod, Set<string>>();
    for (const facts of campaigns.values()) {
      const ids = idsOf.get(facts.authMethod) ?? new Set<string>();
      for (const id of taskIds(facts, watchOf(facts.campaign))) ids.add(id);
      idsOf.set(facts.authMethod, ids);
    }
    const answers = new Map<AuthMethod, { readonly asked: AskedTasks }>();
    for (const [method, ids] of idsOf) {
      if (ids.size === 0) continue;
      answers.set(method, { asked: { ids, found: await connection.client(method).tasks([...ids], signal) } });
    }
    return answers;
  }

  /** A login that ends soon, told while there is time; looked at once an hour. */
  async function loginNotices(): Promise<readonly string[]> {
    if (performance.now() - loginSeen.at < 3_600_000) return loginSeen.notices;
    const methods = new Set([...campaigns.values()].map(({ authMethod }) => authMethod));
    const notices: string[] = [];
    for (const method of methods) {
      const end = await loginEnd(method, options.processEnv ?? process.env, options.loginDays).catch((error: unknown) => {
        // A token file that cannot be used parks the system elsewhere; here it must not end a look.
        notices.push(`the end of the Globus login is not known: ${error instanceof Error ? error.message : String(error)}`);
        return undefined;
      });
      const warning = end === undefined ? undefined : loginWarning(end);
      if (warning !== undefined) notices.push(warning);
    }
    if (methods.size > 0) loginSeen = { at: performance.now(), notices };
    return notices;
  }

  async function acknowledge(facts: CampaignFacts, name: string): Promise<void> {
    if (facts.attempts[name]?.ended === undefined) return;
    delete facts.attempts[name];
    watchOf(facts.campaign).sights.delete(name);
    facts.acknowledged.push(name);
    facts.uncollected.push(name);
    await store.save(facts);
  }

  return {
    name: options.name,
    kind: 'globus_compute',

    describe: async () => ({
      kind: 'globus_compute',
      usesPilots: false,
      slotsPerPilot: options.workers,
      maxPilots: 1,
      prefetch: options.prefetch ?? Math.max(1, Math.ceil(options.workers / 10)),
      lookIntervalSeconds: pollSeconds,
      nodesPerPilot: 1,
    }),

    deployTarget(spec) {
      const settings = campaignSettings(spec.system.settings);
      const target = connection.target(settings.endpointId, settings.authMethod, settings.userEndpointConfig);
      return {
        shell: createTaskShell(target, { pollSeconds: 5, queueSeconds: 7_200 }),
        setup: options.setup ?? [],
        python: options.python ?? 'python3',
      };
    },

    async prepareLaunch(plan, progress) {
      await ready();
      return alone(plan.campaign, async () => {
        const { prepared, facts } = await prepareLaunch(plan, options, times, connection, store, campaigns.get(plan.campaign), progress);
        campaigns.set(plan.campaign, facts);
        closed.delete(plan.campaign);
        return prepared;
      });
    },

    async send(orders) {
      await ready();
      const byCampaign = new Map<string, SystemOrder[]>();
      for (const order of orders) {
        if (order.kind === 'stopPilot') continue;
        byCampaign.set(order.campaign, [...(byCampaign.get(order.campaign) ?? []), order]);
      }
      const answers = new Map<SystemOrder, SentOrders['answers'][number]>();
      for (const [campaign, mine] of byCampaign) {
        const part = await alone(campaign, () => sendTo(campaign, mine));
        for (const [order, answer] of part) answers.set(order, answer);
      }
      return { answers: orders.map((order) => answers.get(order) ?? 'unknown') };
    },

    startPilot: async () => {
      throw new DriverError(
        'refused',
        'HF-GLOBUS-NO-PILOTS',
        `system ${options.name} has no pilots: the endpoint starts its own batch jobs. Nothing is to be done.`,
      );
    },

    look,

    async collect(campaign, record, localLaunchDirectory) {
      await ready();
      const facts = campaigns.get(campaign);
      if (!facts || record.files.length === 0) return;
      const isFetched = await fetchFiles(facts, record, localLaunchDirectory);
      await alone(campaign, async () => {
        const others = facts.unfetched.filter((other) => nameOf(other) !== nameOf(record));
        if (isFetched && others.length === facts.unfetched.length) return;
        facts.unfetched = isFetched ? others : [...others, record];
        await store.save(facts);
      });
    },

    async lost(asked) {
      await ready();
      return asked.filter((campaign) => {
        const facts = campaigns.get(campaign);
        return facts === undefined ? !closed.has(campaign) : facts.rebuilding?.isRecalling === true;
      });
    },

    async rebuild(memory) {
      await ready();
      await alone(memory.campaign, async () => {
        if (campaigns.has(memory.campaign)) return;
        const facts = await rebuildFacts(memory, options, times, connection);
        campaigns.set(memory.campaign, facts);
        await store.save(facts);
      });
    },

    async recalled(campaign) {
      await ready();
      const facts = campaigns.get(campaign);
      if (facts?.rebuilding === undefined) return;
      facts.rebuilding.isRecalling = false;
      await store.save(facts);
    },

    async health(endpoint) {
      await ready();
      const env = options.processEnv ?? process.env;
      const fallback = AUTH_METHODS.find((method) => method === env.HOLDFAST_GLOBUS_AUTH) ?? 'native_client';
      const inUse = [...campaigns.values()].map(({ endpointId, authMethod }) => ({ id: endpointId, authMethod }));
      const configured = [options.endpointId, endpoint].flatMap((id) => (id === undefined ? [] : [{ id, authMethod: fallback }]));
      const endpoints = new Map([...configured, ...inUse].map((watched) => [watched.id, watched]));
      return watchHealth(connection, env, [...endpoints.values()], fallback, options.loginDays);
    },

    async closeLaunch(campaign) {
      await ready();
      const facts = campaigns.get(campaign);
      if (!facts) return;
      await alone(campaign, async () => {
        const isUncertain = facts.intent !== undefined || (facts.rebuilding?.uncertain.length ?? 0) > 0;
        const isBusy = isUncertain || Object.values(facts.attempts).some((attempt) => attempt.ended === undefined);
        if (isBusy) await endEverything(facts);
        for (const record of facts.unfetched) await fetchFiles(facts, record, facts.localDirectory);
        if (facts.uncollected.length > 0)
          await submitControl(targetOf(facts), [{ op: 'collect', directory: facts.directory, names: facts.uncollected }]);
        await store.remove(campaign);
        campaigns.delete(campaign);
        watches.delete(campaign);
        closed.add(campaign);
      });
    },
  };

  /**
   * Files that did not come with the end are fetched by tasks, which need a free worker. False when there was none for a while: a result must not wait
   * for its log files, which stay in the launch folder and are asked for again when the campaign closes.
   */
  async function fetchFiles(facts: CampaignFacts, record: DoneRecord, localDirectory: string): Promise<boolean> {
    try {
      await collectFiles(targetOf(facts), facts.directory, record, localDirectory, { ...asked(), timeoutSeconds: times.fetch });
      return true;
    } catch (error) {
      if (error instanceof DriverError && error.code === 'HF-GLOBUS-TASK-PENDING') return false;
      throw error;
    }
  }

  /**
   * Stops what runs and what waits (a task that starts later finds the stop file), then sees that no agent of the launch beats any more. The
   * service keeps the stop request of an endpoint that is offline: it overtakes the trials when the endpoint comes back, so the campaign may close.
   */
  async function endEverything(facts: CampaignFacts): Promise<void> {
    facts.closingSince ??= Date.now();
    await store.save(facts);
    const short: ControlOptions = { timeoutSeconds: times.close, pollSeconds };
    const target = targetOf(facts);
    try {
      await control(
        target,
        [{ op: 'stop', directory: facts.directory, names: ['all'], reason: 'The campaign has ended.' }],
        stopAnswer,
        short,
      );
      const deadline = performance.now() + (2 * facts.graceSeconds + 60 + times.close) * 1000;
      for (;;) {
        const [answer] = await control(
          target,
          [{ op: 'alive', directory: facts.directory, seconds: 1.5 * times.heartbeat }],
          aliveAnswer,
          short,
        );
        if (answer?.alive.length === 0) return;
        if (performance.now() > deadline) {
          throw new DriverError(
            'transport',
            'HF-GLOBUS-STILL-RUNNING',
            `${answer?.alive.length} trials of ${facts.campaign} still run on endpoint ${facts.endpointId}. They are asked again.`,
          );
        }
      }
    } catch (error) {
      if (!(error instanceof DriverError) || error.code !== 'HF-GLOBUS-TASK-PENDING') throw error;
      const { status } = await target.client.endpointStatus(facts.endpointId);
      if (status !== 'online' || Date.now() - facts.closingSince > CLOSE_PATIENCE_MS) return;
      throw error;
    }
  }
}

/** An endpoint that is online but has no free worker for the stop request is asked again for so long. */
const CLOSE_PATIENCE_MS = 30 * 60_000;
