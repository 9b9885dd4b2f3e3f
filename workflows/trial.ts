import {
  allHandlersFinished,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  sleep,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { attemptName } from '../src/domain/ids.ts';
import { ATTRIBUTES } from '../src/domain/search-attributes.ts';
import { type DoneRecord, fileReferences } from '../src/domain/spool.ts';
import type { TrialOutcome } from '../src/domain/trial.ts';
import { EMPTY_LEDGER, judge, startOf, type Verdict } from '../src/domain/trial-policy.ts';
import { type AttemptEnd, type TrialInput, trialFinishedSignal } from './messages.ts';
import { type Mailbox, openMailbox, submit } from './trial-mailbox.ts';

/** One trial: attempts until it has an outcome, each from the last checkpoint. Reports to its campaign by signal; outlives the campaign's run. */
export async function hpoTrial(trial: TrialInput): Promise<TrialOutcome> {
  const mail = openMailbox(trial);
  // Whoever cancels this workflow (CLI, Web UI) asks the same thing as the campaign does with cancelTrial.
  CancellationScope.current()
    .cancelRequested.catch(() => undefined)
    .then(() => mail.ask({ kind: 'cancel', reason: 'the trial workflow was cancelled' }));

  return CancellationScope.nonCancellable(async () => {
    let ledger = EMPTY_LEDGER;
    let runSeconds = trial.earlierRunSeconds ?? 0;
    for (;;) {
      await submit(trial, mail.attempt, mail.resumeFrom);
      const end = await mail.attemptEnd();
      const record = end.kind === 'record' ? end.record : undefined;
      runSeconds += record?.run_seconds ?? 0;
      const verdict = judge(toResult(end), ledger, trial.retries, mail.request?.kind, trial.lastStep);
      mail.noteEnd(end, verdict);
      if (verdict.kind === 'done') {
        if (record !== undefined && record.attempt < mail.attempt) await mail.stopReplacement();
        return finish(trial, mail, verdict, record, runSeconds);
      }
      ledger = verdict.ledger;
      // A withdrawn offer never started: the same attempt is offered again, so no attempt number is used up.
      if (end.kind !== 'withdrawn') mail.nextAttempt(record);
      if (verdict.delaySeconds > 0)
        await sleep(verdict.delaySeconds * 1000, { summary: `before ${attemptName(trial.number, mail.attempt)}` });
    }
  });
}

function toResult(end: AttemptEnd) {
  if (end.kind === 'record') return { kind: 'record', record: end.record } as const;
  if (end.kind === 'withdrawn') return { kind: 'withdrawn' } as const;
  return { kind: 'lost', failure: end.failure } as const;
}

/** Tells the campaign, which may have been terminated meanwhile, and leaves the outcome as this workflow's result. */
async function finish(
  trial: TrialInput,
  mail: Mailbox,
  verdict: Extract<Verdict, { kind: 'done' }>,
  record: DoneRecord | undefined,
  runSeconds: number,
): Promise<TrialOutcome> {
  const startedAt = startOf(record, mail.startedAt());
  const isPaused =
    verdict.state === 'completed' &&
    trial.isPartial === true &&
    record?.is_final !== true &&
    (record?.step ?? 0) <= (trial.targetStep ?? 0);
  const state = isPaused ? 'pruned' : verdict.state;
  const outcome: TrialOutcome = {
    number: trial.number,
    state,
    ...(verdict.state !== 'failed' && verdict.state !== 'cancelled' && record?.values ? { values: record.values } : {}),
    ...(record === undefined
      ? {}
      : { metrics: record.metrics, curve: record.curve, directory: record.directory, files: fileReferences(record) }),
    ...(record?.synthetic === undefined ? {} : { synthetic: record.synthetic }),
    ...(record === undefined ? {} : { host: record.host, slot: record.slot, pilot: record.pilot }),
    ...(record?.step == null ? {} : { step: record.step }),
    ...(verdict.failure === undefined ? {} : { failure: verdict.failure }),
    ...(startedAt === undefined ? {} : { startedAt }),
    attempts: mail.attempt,
    runSeconds,
    finishedAt: Date.now(),
  };
  mail.show(state, outcome);
  if (trial.hasSearchAttributes) {
    upsertSearchAttributes([
      { key: ATTRIBUTES.state, value: state },
      { key: ATTRIBUTES.error, value: verdict.failure?.class ?? null },
      { key: ATTRIBUTES.best, value: outcome.values?.[0] ?? null },
    ]);
  }
  const { files: _files, ...report } = outcome;
  try {
    await getExternalWorkflowHandle(trial.campaign).signal(trialFinishedSignal, {
      outcome: report,
      ...(trial.launch === undefined ? {} : { launch: trial.launch }),
    });
  } catch (error) {
    if (isCancellation(error)) throw error;
    log.warn('the campaign is gone; the outcome stays as the result of this workflow');
  }
  await condition(allHandlersFinished);
  return outcome;
}
