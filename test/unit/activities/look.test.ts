import { Client, Connection } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createLook } from '../../../activities/look.ts';
import { localCarrier } from '../../../src/ssh/local-carrier.ts';
import { makeRemoteShell } from '../../../src/ssh/shell.ts';
import type { SystemDriver } from '../../../src/systems/driver.ts';
import { createPbsDriver } from '../../../src/systems/pbs/driver.ts';
import { standInProfile } from '../../support/pbs/campaign.ts';

/** Nobody is asked: a look without campaigns has nothing to ask the service for. */
const client = new Client({ connection: Connection.lazy({ address: '127.0.0.1:1' }) });

/** A PBS system on which nothing happens. */
function quiet(pollSeconds: number): SystemDriver {
  const driver = createPbsDriver({
    name: 'site',
    profile: standInProfile({ poll_seconds: pollSeconds }),
    shell: makeRemoteShell(localCarrier({})),
  });
  return { ...driver, look: async () => undefined };
}

async function pauseOf(driver: SystemDriver): Promise<number> {
  const look = createLook({
    drivers: new Map([[driver.name, driver]]),
    hasSearchAttributes: false,
    logger: pino({ level: 'silent' }),
    env: {},
  });
  const request = { acks: [], pilots: [], waitSeconds: 0 };
  const failure = await new MockActivityEnvironment({}, { client }).run(look, { system: driver.name, campaigns: [], request }).then(
    () => undefined,
    (error: unknown) => error as { type?: string; nextRetryDelay?: number },
  );
  expect(failure?.type).toBe('NothingNew');
  return Number(failure?.nextRetryDelay);
}

describe('a look that finds nothing new', () => {
  it('comes back after poll_seconds, a tenth more or less, so that workers do not all ask in the same second', async () => {
    for (const seconds of [60, 120]) {
      const pauses: number[] = [];
      for (let looks = 0; looks < 20; looks += 1) pauses.push(await pauseOf(quiet(seconds)));
      for (const pause of pauses) {
        expect(pause).toBeGreaterThanOrEqual(seconds * 900);
        expect(pause).toBeLessThanOrEqual(seconds * 1100);
      }
      expect(new Set(pauses).size).toBeGreaterThan(10);
    }
  });
});
