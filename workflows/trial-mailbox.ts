import {
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  patched,
  setCurrentDetails,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import { systemWorkflowId } from '../src/domain/ids.ts';
import type { DoneRecord } from '../src/domain/spool.ts';
import type { TrialOutcome, TrialState } from '../src/domain/trial.ts';
import type { Verdict } from '../src/domain/trial-policy.ts';
import { measured, withMargin } from '../src/view/format.ts';
import { trialDetails } from '../src/view/trial.ts';
import {
  type AttemptEnd,
  type AttemptStarted,
  type AttemptView,
  attemptEndedSignal,
  attemptStartedSignal,
  type CancelRequest,
  cancelTrialSignal,
  resubmitSignal,
  stopTrialSignal,
  submitTrialSignal,
  type TrialInput,
  type TrialView,
  trialQuery,
} from './messages.ts';
import { submitThroughClient } from './options.ts';

/** Between two stop requests to a system that had to be brought back. */
const STOP_AGAIN_MS = 30_000;

/** What a trial hears, and what it shows of itself. */
export interface Mailbox {
  readonly attempt: number;
  readonly resumeFrom: number | undefined;
  readonly request: CancelRequest | undefined;
  ask(request: CancelRequest): void;
  attemptEnd(): Promise<AttemptEnd>;
  noteEnd(end: AttemptEnd, verdict: Verdict): void;
  nextAttempt(record: DoneRecord | undefined): void;
  /** The current attempt is of no use any more: an earlier one that was given up has brought its result after all. */
  stopReplacement(): Promise<void>;
  startedAt(): number | undefined;
  show(state: TrialState, outcome?: TrialOutcome): void;
}

/** Handlers first: a signal may come before the first await. */
export function openMailbox(trial: TrialInput): Mailbox {
  let attempt = trial.firstAttempt ?? 1;
  let resumeFrom = trial.resumeFrom;
  let state: TrialState = 'queued';
  let outcome: TrialOutcome | undefined;
  let request: CancelRequest | undefined;
  let isStopSent = false;
  let mustResubmit = false;
  let isOverdue = false;
  const ends: AttemptEnd[] = [];
  let attempts: AttemptView[] = [{ attempt, offeredAt: Date.now() }];
  let deadline: CancellationScope | undefined;

  const view = (): TrialView => ({
    campaign: trial.campaign,
    ...(trial.launch === undefined ? {} : { launch: trial.launch }),
    number: trial.number,
    params: trial.params,
    origin: trial.origin,
    ...(trial.note === undefined ? {} : { note: trial.note }),
    state,
    attempt,
    attempts,
    ...(outcome === undefined ? {} : { outcome }),
    headline: headline(trial, state, attempts, outcome, request),
  });
  const refresh = () => setCurrentDetails(withMargin(trialDetails(view(), trial.objectives)));
  const change = (part: Partial<AttemptView>) => {
    attempts = attempts.map((seen) => (seen.attempt === attempt ? { ...seen, ...part } : seen));
  };

  setHandler(trialQuery, view, { description: 'Parameters, attempts and outcome of this trial.' });
  setHandler(attemptStartedSignal, (started: AttemptStarted) => {
    if (started.attempt !== attempt || state !== 'queued') return;
    state = 'running';
    const { pilot, slot, nativeId } = started;
    change({ startedAt: Date.now(), pilot, slot, ...(nativeId === undefined ? {} : { nativeId }) });
    deadline = startDeadline(trial, () => {
      isOverdue = true;
    });
    refresh();
  });
  setHandler(attemptEndedSignal, (end: AttemptEnd) => {
    const which = end.kind === 'record' ? end.record.attempt : end.attempt;
    const isCurrent = which === attempt;
    // A late result of an attempt that was given up still counts: nothing better can come of the trial. Attempts before a promotion are another run's.
    const isLateResult =
      which < attempt && which >= (trial.firstAttempt ?? 1) && end.kind === 'record' && end.record.status === 'completed';
    if (isCurrent || isLateResult) ends.push(end);
  });
  setHandler(cancelTrialSignal, (asked: CancelRequest) => {
    if (asked.launch === undefined || asked.launch === trial.launch) ask(asked);
  });
  setHandler(resubmitSignal, () => {
    mustResubmit = true;
  });
  refresh();

  function ask(asked: CancelRequest): void {
    // Whoever asks again (the campaign's next run) has heard of no end: the first request, or its answer, may have been lost.
    if (request !== undefined && patched('asked-again')) isStopSent = false;
    request ??= asked;
  }

  const signalStop = (reason: string) =>
    getExternalWorkflowHandle(systemWorkflowId(trial.system)).signal(stopTrialSignal, {
      campaign: trial.campaign,
      ...(trial.launch === undefined ? {} : { launch: trial.launch }),
      number: trial.number,
      attempt,
      reason,
    });

  async function stopOnSystem(): Promise<void> {
    isStopSent = true;
    try {
      await signalStop(request?.reason ?? 'past its wall-clock limit');
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the system did not take the stop request; the attempt is submitted again so that it learns of it');
      await submit(trial, attempt, resumeFrom, true);
      // The system comes back with the submission; asked at once, it might not have started yet.
      await sleep(STOP_AGAIN_MS, { summary: 'before the stop is asked for again' });
      isStopSent = false;
    }
  }

  return {
    get attempt() {
      return attempt;
    },
    get resumeFrom() {
      return resumeFrom;
    },
    get request() {
      return request;
    },
    ask,
    startedAt: () => attempts.find((seen) => seen.startedAt !== undefined)?.startedAt,
    async attemptEnd() {
      isStopSent = false;
      isOverdue = false;
      for (;;) {
        await condition(() => ends.length > 0 || mustResubmit || ((request !== undefined || isOverdue) && !isStopSent));
        const end = ends.shift();
        if (end !== undefined) {
          deadline?.cancel();
          deadline = undefined;
          return end;
        }
        if (mustResubmit) {
          mustResubmit = false;
          await submit(trial, attempt, resumeFrom, true);
          // The system that was asked to stop it may be the one that is gone.
          if ((request !== undefined || isOverdue) && patched('stop-after-resubmit')) isStopSent = false;
        }
        if ((request !== undefined || isOverdue) && !isStopSent) await stopOnSystem();
      }
    },
    noteEnd(end, verdict) {
      const failure = verdict.failure;
      change({
        end: end.kind === 'record' ? end.record.status : end.kind,
        ...(failure === undefined ? {} : { failure }),
        ...(end.kind === 'record' ? placeOf(end.record) : {}),
      });
      state = 'queued';
    },
    nextAttempt(record) {
      if (record?.has_checkpoint) resumeFrom = record.attempt;
      attempt += 1;
      attempts = [...attempts, { attempt, offeredAt: Date.now() }].slice(-50);
      refresh();
    },
    async stopReplacement() {
      await signalStop('an earlier attempt has brought its result after all').catch((error: unknown) =>
        log.info('the system is gone, and with it the attempt', { error: String(error) }),
      );
    },
    show(next, final) {
      state = next;
      outcome = final;
      refresh();
    },
  };
}

/** The agent enforces the wall-clock limit; this durable timer is for an agent that cannot. */
function startDeadline(trial: TrialInput, onExpiry: () => void): CancellationScope | undefined {
  if (trial.trialSeconds === undefined) return undefined;
  const scope = new CancellationScope({ cancellable: true });
  const milliseconds = (trial.trialSeconds + 2 * trial.graceSeconds + 600) * 1000;
  scope
    .run(() => sleep(milliseconds, { summary: 'wall-clock limit of the attempt' }))
    .then(onExpiry)
    .catch((error: unknown) => {
      if (!isCancellation(error)) throw error;
    });
  return scope;
}

/** Offers the current attempt to the system. A repeated offer has the same name, so it is harmless. */
export async function submit(trial: TrialInput, attempt: number, resumeFrom: number | undefined, isAgain = false): Promise<void> {
  const submission = {
    campaign: trial.campaign,
    ...(trial.launch === undefined ? {} : { launch: trial.launch }),
    number: trial.number,
    attempt,
    params: trial.params,
    ...(resumeFrom === undefined ? {} : { resumeFrom }),
    ...(trial.targetStep === undefined ? {} : { targetStep: trial.targetStep }),
    ...(isAgain ? { isAgain } : {}),
  };
  try {
    await getExternalWorkflowHandle(systemWorkflowId(trial.system)).signal(submitTrialSignal, submission);
  } catch (error) {
    if (isCancellation(error)) throw error;
    // The system's workflow has ended (idle, or terminated by hand): the client can start it and signal in one step.
    await submitThroughClient.executeWithOptions({ summary: `bring system/${trial.system} back` }, [{ system: trial.system, submission }]);
  }
}

function headline(
  trial: TrialInput,
  state: TrialState,
  attempts: readonly AttemptView[],
  outcome: TrialOutcome | undefined,
  request: CancelRequest | undefined,
): string {
  const last = attempts.at(-1);
  if (outcome !== undefined) {
    const value =
      outcome.values === undefined
        ? ''
        : ` with ${trial.objectives.map((o, i) => `${o.metric} ${measured(outcome.values?.[i] ?? Number.NaN)}`).join(', ')}`;
    return `${state}${value} after ${outcome.attempts} attempt${outcome.attempts === 1 ? '' : 's'}`;
  }
  if (request !== undefined) return `being ended: ${request.reason}`;
  if (state === 'running') return `attempt ${last?.attempt} runs on slot ${last?.slot} of ${last?.pilot}`;
  return `attempt ${last?.attempt} waits for a slot of ${trial.system}`;
}

function placeOf({ directory, pilot, slot, native_id: nativeId }: DoneRecord): Partial<AttemptView> {
  return { directory, pilot, slot, ...(nativeId === undefined ? {} : { nativeId }) };
}
