import { describe, expect, it } from 'vitest';
import { admitCampaign } from '../../../src/spec/admit.ts';

describe('config/campaigns', () => {
  it('digits.yaml is admitted, with at least 24 trials', async () => {
    const spec = await admitCampaign('config/campaigns/digits.yaml', { env: {}, now: new Date('2026-11-23T00:00:00Z') });
    expect(spec.budget.trials).toBeGreaterThanOrEqual(24);
  });
});
