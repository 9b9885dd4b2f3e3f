import { DriverError, type SentOrders, type SystemDriver, type SystemOrder } from '../driver.ts';
import { AUTH_METHODS } from './authorizer.ts';
import { closeLaunch, fetchFiles } from './close-launch.ts';
import { connect } from './connection.ts';
import { KnownCampaigns } from './known-campaigns.ts';
import { loginNotices } from './login-notices.ts';
import { lookAtCampaigns } from './look-at-campaigns.ts';
import { campaignSettings, DEFAULT_TIMES, type GlobusDriverOptions } from './options.ts';
import { prepareLaunch } from './prepare-launch.ts';
import { rebuildFacts } from './rebuild-facts.ts';
import { takeOrders } from './take-orders.ts';
import { createTaskShell } from './task-shell.ts';
import { watchHealth } from './watch-health.ts';
import { nameOf } from './watch-trials.ts';

/** How long files are not waited for after one was waited for in vain. */
const FILES_WAIT_MS = 10 * 60_000;

/**
 * Trials as Globus Compute tasks: no ssh, no Python on this computer. The endpoint is the pilot; each offer is a task that runs the agent's
 * single-trial entry, whose claim on the endpoint's file system makes a second copy harmless. Submissions are written down before they are made, ends are
 * believed from the task's result or from the done record on the file system, and silence is never an end.
 */
export function createGlobusDriver(options: GlobusDriverOptions): SystemDriver {
  const times = { ...DEFAULT_TIMES, ...options.times };
  const pollSeconds = options.pollSeconds ?? 15;
  const env = options.processEnv ?? process.env;
  const connection = connect(options);
  const known = new KnownCampaigns(options, times, connection);
  const loginsEnding = loginNotices(env, options.loginDays);
  const patience = { times, pollSeconds };

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

    async prepareLaunch(plan, progress, signal) {
      await known.ready();
      return known.alone(plan.campaign, async () => {
        const before = known.find(plan.campaign);
        const { prepared, facts } = await prepareLaunch(plan, options, times, connection, known.store, before, progress, signal);
        known.add(facts);
        return prepared;
      });
    },

    async send(orders) {
      await known.ready();
      const byCampaign = new Map<string, Exclude<SystemOrder, { kind: 'stopPilot' }>[]>();
      for (const order of orders) {
        if (order.kind === 'stopPilot') continue;
        byCampaign.set(order.campaign, [...(byCampaign.get(order.campaign) ?? []), order]);
      }
      const answers = new Map<SystemOrder, SentOrders['answers'][number]>();
      // At once: an endpoint that does not answer holds up no other. All have been served before one's failure is told; a repetition has no second effect.
      const parts = await Promise.allSettled(
        [...byCampaign].map(([campaign, mine]) => known.alone(campaign, () => takeOrders(known, campaign, mine))),
      );
      for (const part of parts) {
        if (part.status === 'rejected') throw part.reason;
        for (const [order, answer] of part.value) answers.set(order, answer);
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

    async look(request, signal) {
      await known.ready();
      const methods = () => new Set(known.all().map(({ authMethod }) => authMethod));
      return lookAtCampaigns(known, connection, request, signal, () => loginsEnding(methods()));
    },

    async collect(campaign, record, localLaunchDirectory) {
      await known.ready();
      const facts = known.find(campaign);
      if (!facts || record.files.length === 0) return;
      // Asked for in vain before; it is asked for again when the campaign closes.
      if (facts.unfetched.some((other) => nameOf(other) === nameOf(record))) return;
      const watch = known.watchOf(campaign);
      // Of many ends at once the first alone waits for a worker that is not free, or a look would take hours.
      const isWaiting = performance.now() < (watch.filesWaitUntil ?? 0);
      const seconds = isWaiting ? 0 : times.fetch;
      const isFetched = await fetchFiles(known, facts, record, localLaunchDirectory, { ...patience, times: { ...times, fetch: seconds } });
      if (!isFetched && !isWaiting) watch.filesWaitUntil = performance.now() + FILES_WAIT_MS;
      await known.alone(campaign, async () => {
        const others = facts.unfetched.filter((other) => nameOf(other) !== nameOf(record));
        if (isFetched && others.length === facts.unfetched.length) return;
        facts.unfetched = isFetched ? others : [...others, record];
        await known.store.save(facts);
      });
    },

    async lost(asked) {
      await known.ready();
      return asked.filter((campaign) => known.isLost(campaign));
    },

    async rebuild(memory) {
      await known.ready();
      await known.alone(memory.campaign, async () => {
        if (known.find(memory.campaign)) return;
        const facts = await rebuildFacts(memory, options, times, connection);
        known.add(facts);
        await known.store.save(facts);
      });
    },

    async recalled(campaign) {
      await known.ready();
      const facts = known.find(campaign);
      if (facts?.rebuilding === undefined) return;
      facts.rebuilding.isRecalling = false;
      await known.store.save(facts);
    },

    async health(endpoint) {
      await known.ready();
      const fallback = AUTH_METHODS.find((method) => method === env.HOLDFAST_GLOBUS_AUTH) ?? 'native_client';
      const inUse = known.all().map(({ endpointId, authMethod }) => ({ id: endpointId, authMethod }));
      const configured = [options.endpointId, endpoint].flatMap((id) => (id === undefined ? [] : [{ id, authMethod: fallback }]));
      const endpoints = new Map([...configured, ...inUse].map((watched) => [watched.id, watched]));
      return watchHealth(connection, env, [...endpoints.values()], fallback, options.loginDays);
    },

    async closeLaunch(campaign) {
      await known.ready();
      const facts = known.find(campaign);
      if (!facts) return;
      await known.alone(campaign, async () => {
        try {
          await closeLaunch(known, facts, patience);
        } catch (error) {
          // Of an endpoint that refuses there is nothing more to be had, now or later.
          if (error instanceof DriverError && error.class === 'refused') await known.close(campaign);
          throw error;
        }
        await known.close(campaign);
      });
    },
  };
}
