import path from 'node:path';
import { localCarrier } from '../../ssh/local-carrier.ts';
import { makeRemoteShell } from '../../ssh/shell.ts';
import type { PilotRequest, PilotStart, SystemDriver, SystemOrder } from '../driver.ts';
import { isThere } from '../spool/durable-write.ts';
import { refusing } from '../spool/launch-folder.ts';
import { placeOffer, stopPilot, withdrawOrStop } from '../spool/offers.ts';
import { pilotFolder } from '../spool/paths.ts';
import { endLaunch } from './close.ts';
import { lookAtLaunches } from './look.ts';
import { type LocalDriverOptions, localSettings } from './options.ts';
import { startAgent } from './pilots.ts';
import { prepareLocalLaunch } from './prepare.ts';
import { allRegistered, deregister, registered } from './registry.ts';

/**
 * This computer as a system: one agent per campaign, a detached process that outlives the worker; the launch folder holds spool and results.
 *
 *   const driver = createLocalDriver({ slots: 4 });
 *   await driver.prepareLaunch(plan, console.log);
 *   await driver.startPilot({ pilot: 'digits-1.p1', campaign: 'digits-1' });
 */
export function createLocalDriver(options: LocalDriverOptions = {}): SystemDriver {
  const settings = localSettings(options);
  const everyServer = settings.registry;
  const starts = new Map<string, Promise<PilotStart>>();

  async function send(order: SystemOrder): Promise<'offered' | 'withdrawn' | 'stopping' | 'done' | 'unknown'> {
    if (order.kind === 'stopPilot') {
      for (const launch of await allRegistered(settings.registry)) {
        if (await isThere(pilotFolder(launch.directory, order.pilot))) {
          await stopPilot(launch.directory, order.pilot, order.reason);
          return 'stopping';
        }
      }
      return 'unknown';
    }
    const launch = await registered(settings.registry, order.campaign);
    if (launch === undefined) return 'unknown';
    return refusing(
      launch.directory,
      () =>
        order.kind === 'offer'
          ? placeOffer(launch.directory, order.offer)
          : withdrawOrStop(launch.directory, order.trial, order.attempt, order.reason),
      'transport',
    );
  }

  async function start(request: PilotRequest): Promise<PilotStart> {
    const launch = await registered(settings.registry, request.campaign);
    if (launch === undefined) {
      return { kind: 'refused', failure: { class: 'lost', message: `Campaign ${request.campaign} has no launch on ${settings.name}.` } };
    }
    return refusing(launch.directory, () => startAgent(settings, launch, request), 'transport');
  }

  async function closeLaunch(campaign: string): Promise<void> {
    const launch = await registered(settings.registry, campaign);
    if (launch === undefined) return;
    await endLaunch(launch);
    await deregister(settings.registry, campaign);
  }

  return {
    name: settings.name,
    kind: 'local',
    serve(namespaceId) {
      settings.registry = path.join(everyServer, namespaceId);
    },
    describe: async () => ({
      kind: 'local',
      usesPilots: true,
      slotsPerPilot: settings.slots,
      maxPilots: 1,
      prefetch: 0,
      lookIntervalSeconds: 0,
      nodesPerPilot: 1,
    }),
    deployTarget: () => ({ shell: makeRemoteShell(localCarrier()), setup: [], python: settings.python, pollSeconds: 0.5 }),
    prepareLaunch: (plan, progress) => prepareLocalLaunch(settings, plan, progress, () => closeLaunch(plan.campaign)),
    async send(orders) {
      // Orders for different attempts are independent; for one attempt they keep their order.
      const last = new Map<string, Promise<unknown>>();
      const answers = orders.map((order) => {
        const key = keyOf(order);
        const answer = (last.get(key) ?? Promise.resolve()).then(() => send(order));
        last.set(key, answer);
        return answer;
      });
      return { answers: await Promise.all(answers) };
    },
    startPilot(request) {
      const key = `${request.campaign} ${request.pilot}`;
      const pending = starts.get(key) ?? start(request).finally(() => starts.delete(key));
      starts.set(key, pending);
      return pending;
    },
    look: (request, signal) => lookAtLaunches(settings.registry, request, signal),
    // Results are written where they are read.
    collect: async () => undefined,
    closeLaunch,
  };
}

function keyOf(order: SystemOrder): string {
  switch (order.kind) {
    case 'offer':
      return `${order.campaign} ${order.offer.trial}.${order.offer.attempt}`;
    case 'stop':
      return `${order.campaign} ${order.trial}.${order.attempt}`;
    case 'stopPilot':
      return order.pilot;
  }
}
