/** Activity proxies, one per class of retry. Every proxy says how long one try may take and when it gives up. */
import { ActivityCancellationType, proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { systemTaskQueue, TASK_QUEUE } from '../src/domain/ids.ts';

/** Failures that no retry mends. */
const FINAL = ['BadSpec', 'Refused', 'NeedsLogin'];

/** Reading and checking the user's file: right or wrong at once. */
export const { admitCampaign } = proxyLocalActivities<Activities>({
  startToCloseTimeout: '30 seconds',
  retry: { maximumAttempts: 3, nonRetryableErrorTypes: FINAL },
});

/** Computation and calls of the Temporal service itself. */
export const {
  suggest,
  judgeRungs,
  ensureSystem,
  submitThroughClient,
  findLostTrials,
  viewTrial,
  endForeignTrial,
  awaitTrialEnd,
  endEarlier,
} = proxyActivities<Activities>({
  taskQueue: TASK_QUEUE,
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '500 milliseconds', maximumInterval: '30 seconds', nonRetryableErrorTypes: FINAL },
});

/** Short effects on one system: tried for ever, backing off to ten minutes; a login or a refusal comes back at once. */
export function effectsOn(system: string) {
  return proxyActivities<Activities>({
    taskQueue: systemTaskQueue(system),
    startToCloseTimeout: '10 minutes',
    heartbeatTimeout: '15 seconds',
    retry: { initialInterval: '1 second', maximumInterval: '10 minutes', nonRetryableErrorTypes: FINAL },
  });
}

/** Staging: may carry much data, heartbeats as it goes; a worker that was killed at it is noticed soon. */
export function stagingOn(system: string) {
  return proxyActivities<Activities>({
    taskQueue: systemTaskQueue(system),
    startToCloseTimeout: '12 hours',
    heartbeatTimeout: '20 seconds',
    retry: { initialInterval: '2 seconds', maximumInterval: '5 minutes', nonRetryableErrorTypes: FINAL },
  });
}

/**
 * The look: one activity that ends only with news. Without news it throws a BENIGN failure with its own retry delay, which costs no history
 * events; the short heartbeat time-out is what notices a killed worker.
 */
export function lookAt(system: string) {
  return proxyActivities<Activities>({
    taskQueue: systemTaskQueue(system),
    startToCloseTimeout: '10 minutes',
    heartbeatTimeout: '6 seconds',
    // A look that is broken off is simply left behind: whatever it saw, the next one sees too.
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: { initialInterval: '1 second', maximumInterval: '10 minutes', nonRetryableErrorTypes: FINAL },
  });
}

/** Reports: a full disk must not hold a finished campaign for ever; the report can be made again from the history. */
export function reportsOn(system: string) {
  return proxyActivities<Activities>({
    taskQueue: systemTaskQueue(system),
    startToCloseTimeout: '30 minutes',
    heartbeatTimeout: '30 seconds',
    retry: { initialInterval: '1 second', maximumAttempts: 4, nonRetryableErrorTypes: FINAL },
  });
}

/** Notices to people: a few tries, then given up; whatever they say, the campaign goes on. */
export const { notify } = proxyActivities<Activities>({
  taskQueue: TASK_QUEUE,
  startToCloseTimeout: '30 seconds',
  scheduleToCloseTimeout: '10 minutes',
  retry: { initialInterval: '5 seconds', maximumAttempts: 4 },
});

/** Pending for as long as a campaign runs: looks every half minute whether the system's workflow is there, without a trace in the history. */
export const { guardSystem } = proxyActivities<Activities>({
  taskQueue: TASK_QUEUE,
  startToCloseTimeout: '1 minute',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: '5 seconds', maximumInterval: '30 seconds' },
});

/** The scheduled check of a system: a worker that does not come in time is a finding, so it is not waited for. */
export function healthOn(system: string, patienceSeconds: number) {
  return proxyActivities<Activities>({
    taskQueue: systemTaskQueue(system),
    scheduleToCloseTimeout: patienceSeconds * 1000,
    heartbeatTimeout: '15 seconds',
    retry: { initialInterval: '1 second', maximumInterval: '30 seconds', nonRetryableErrorTypes: FINAL },
  });
}
