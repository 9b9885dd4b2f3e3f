/** What Temporal loads: the three workflows. */
export { hpoCampaign } from './campaign.ts';
export { computeSystem } from './system.ts';
export { hpoTrial } from './trial.ts';
