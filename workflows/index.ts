/** What Temporal loads: the three workflows of a campaign, and the scheduled check of a system. */
export { hpoCampaign } from './campaign.ts';
export { systemHealth } from './health.ts';
export { computeSystem } from './system.ts';
export { hpoTrial } from './trial.ts';
