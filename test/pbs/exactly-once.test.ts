import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runFaultCampaign } from '../support/pbs/fault-campaign.ts';

/** HOLDFAST_INJECTIONS=1000 is the full campaign; HOLDFAST_REPORT names a file for its figures. */
const INJECTIONS = Number(process.env.HOLDFAST_INJECTIONS ?? 30);
const SEED = Number(process.env.HOLDFAST_SEED ?? Date.now() % 1_000_000);

describe('submit, cancel, poll and collect under faults', () => {
  it(`${INJECTIONS} injections: no pilot runs twice, no trial is lost, no end is false (seed ${SEED})`, {
    timeout: 3_600_000,
  }, async () => {
    const report = await runFaultCampaign({
      injections: INJECTIONS,
      seed: SEED,
      lanes: Number(process.env.HOLDFAST_LANES ?? 2),
      progress: (count) => process.env.HOLDFAST_REPORT && writeFileSync(`${process.env.HOLDFAST_REPORT}.progress`, `${count}\n`),
    });
    if (process.env.HOLDFAST_REPORT) writeFileSync(process.env.HOLDFAST_REPORT, `${JSON.stringify(report, null, 1)}\n`);
    expect(report).toMatchObject({ doubleRuns: [], doubleTrials: [], doubleJobs: [], lost: [], falseEnds: [], emptyDeletes: 0 });
    expect(report.injections).toBeGreaterThanOrEqual(INJECTIONS);
  });
});
