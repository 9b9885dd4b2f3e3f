import { createAdmitCampaign } from './admit-campaign.ts';
import { createCheckHealth } from './check-health.ts';
import type { ActivityDeps } from './deps.ts';
import { createEnsureSystem } from './ensure-system.ts';
import { awaitTrialEnd, endForeignTrial, findLostTrials, viewTrial } from './find-lost-trials.ts';
import { createJudgeRungs } from './judge-rungs.ts';
import { createLook } from './look.ts';
import { createNotify } from './notify.ts';
import { createOrders } from './orders.ts';
import { createPrepareLaunch } from './prepare-launch.ts';
import { createSearchThread } from './search-thread.ts';
import { createSuggest } from './suggest.ts';
import { createTableCache } from './table-cache.ts';
import { createWriteReport } from './write-report.ts';

/** Everything that workflows can have done, bound to what it needs. */
export function createActivities(deps: ActivityDeps) {
  const tables = createTableCache();
  const thread = createSearchThread();
  return {
    admitCampaign: createAdmitCampaign(deps),
    suggest: createSuggest(deps, tables, thread),
    judgeRungs: createJudgeRungs(tables, thread),
    ...createEnsureSystem(deps),
    findLostTrials,
    viewTrial,
    endForeignTrial,
    awaitTrialEnd,
    prepareLaunch: createPrepareLaunch(deps),
    ...createOrders(deps),
    look: createLook(deps),
    checkHealth: createCheckHealth(deps),
    writeReport: createWriteReport(deps),
    notify: createNotify(deps),
  };
}

export type Activities = ReturnType<typeof createActivities>;
