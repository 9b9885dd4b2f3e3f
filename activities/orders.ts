import type { PilotRequest, PilotStart, SentOrders, SystemDescription, SystemOrder } from '../src/systems/driver.ts';
import type { ActivityDeps } from './deps.ts';
import { asActivityFailure, driverOf } from './failures.ts';
import { withHeartbeat } from './heartbeat.ts';

/** The short effects on one system. Each has an exactly-once effect however often it is called: the driver looks before it does. */
export function createOrders(deps: ActivityDeps) {
  const on = <T>(system: string, work: (driver: ReturnType<typeof driverOf>) => Promise<T>): Promise<T> =>
    withHeartbeat(() => asActivityFailure(() => work(driverOf(deps, system))));

  return {
    describeSystem: (input: { readonly system: string }): Promise<SystemDescription> => on(input.system, (driver) => driver.describe()),

    sendOrders: (input: { readonly system: string; readonly orders: readonly SystemOrder[] }): Promise<SentOrders> =>
      on(input.system, (driver) => driver.send(input.orders)),

    startPilot: (input: { readonly system: string; readonly request: PilotRequest }): Promise<PilotStart> =>
      on(input.system, (driver) => driver.startPilot(input.request)),

    closeLaunch: (input: { readonly system: string; readonly campaign: string }): Promise<void> =>
      on(input.system, (driver) => driver.closeLaunch(input.campaign)),
  };
}
