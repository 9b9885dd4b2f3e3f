import { Context } from '@temporalio/activity';
import {
  DriverError,
  type PilotRequest,
  type PilotStart,
  type SentOrders,
  type SystemDescription,
  type SystemOrder,
} from '../src/systems/driver.ts';
import type { ActivityDeps } from './deps.ts';
import { asActivityFailure, driverOf } from './failures.ts';
import { withHeartbeat } from './heartbeat.ts';
import { rebuildForClose, rebuildLost } from './rebuild-launches.ts';

/** The short effects on one system. Each has an exactly-once effect however often it is called: the driver looks before it does. */
export function createOrders(deps: ActivityDeps) {
  const on = <T>(system: string, work: (driver: ReturnType<typeof driverOf>) => Promise<T>): Promise<T> =>
    withHeartbeat(() => asActivityFailure(() => work(driverOf(deps, system))));

  return {
    describeSystem: (input: { readonly system: string }): Promise<SystemDescription> => on(input.system, (driver) => driver.describe()),

    sendOrders: (input: { readonly system: string; readonly orders: readonly SystemOrder[] }): Promise<SentOrders> =>
      on(input.system, async (driver) => {
        const campaigns = new Set(input.orders.flatMap((order) => (order.kind === 'stopPilot' ? [] : [order.campaign])));
        await rebuildLost(driver, [...campaigns], Context.current().client, deps.logger);
        return driver.send(input.orders);
      }),

    startPilot: (input: { readonly system: string; readonly request: PilotRequest }): Promise<PilotStart> =>
      on(input.system, (driver) => driver.startPilot(input.request)),

    closeLaunch: (input: { readonly system: string; readonly campaign: string }): Promise<void> =>
      on(input.system, async (driver) => {
        try {
          await rebuildForClose(driver, input.campaign, Context.current().client);
          await driver.closeLaunch(input.campaign);
        } catch (error) {
          // A campaign must not lose its report because its machine wants to hear no more of it.
          if (!(error instanceof DriverError) || error.class !== 'refused') throw error;
          deps.logger.warn(
            { ...input, code: error.code },
            `the system refused the end of a campaign, whose trials may still run there: ${error.message}`,
          );
        }
      }),
  };
}
