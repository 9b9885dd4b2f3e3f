import { CancellationScope, condition, log, patched, sleep, workflowInfo } from '@temporalio/workflow';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import { endReason, isOver, nextInstant, stopVerdictOf, timeVerdictOf } from '../src/domain/campaign-policy.ts';
import { type CampaignState, outcomeChange } from '../src/domain/campaign-state.ts';
import { failuresAlike, failuresCritical } from '../src/domain/first-failures.ts';
import { pointKey, pointProblems } from '../src/domain/points.ts';
import type { Point } from '../src/domain/space.ts';
import { changeRow } from '../src/domain/table.ts';
import { isFinal, type TrialOutcome } from '../src/domain/trial.ts';
import { tellingOrder } from '../src/view/parameters.ts';
import { answerMessages } from './campaign-handlers.ts';
import { openHerald } from './campaign-notices.ts';
import { writeReport } from './campaign-report.ts';
import { showCampaign } from './campaign-view.ts';

/** How often in a row a sampler may bring nothing new, with nothing in flight, before the campaign ends. */
const MOST_FRUITLESS = 10;

/** How final a phase is: a campaign never goes back to one of a lower rank. */
const RANK = { preparing: 0, running: 0, paused: 0, draining: 1, stopping: 2, cancelling: 3, reporting: 9, ended: 9 } as const;

export type Desk = ReturnType<typeof openDesk>;

/** Every change of a campaign's state, and the waiting for the next one. Opens the handlers, so it is made before the first await. */
export function openDesk(state: CampaignState) {
  let isChanged = false;
  let isReporting = false;
  let isWoken = false;
  let fruitless = 0;
  let errands = 0;
  let isQuestionLeft = false;
  let awaitedSince: number | undefined;
  let asked: 'no' | 'waiting' | 'slow' | 'answered' = 'no';
  let known: Set<string> | undefined;
  let parameterOrder: string[] | undefined;
  const toldToEnd = new Set<number>();

  const desk = {
    changed(): void {
      isChanged = true;
    },
    async news(): Promise<void> {
      await condition(() => isChanged || (workflowInfo().continueAsNewSuggested && awaitedSince === undefined));
      isChanged = false;
    },
    /** Renews what the Web UI shows, and tells people what is new; returns the former. */
    show(): string {
      const details = showCampaign(state, state.spec === undefined ? undefined : desk.order());
      desk.herald.tell();
      return details;
    },
    /** Notices to people. */
    herald: openHerald(state),
    /** Parameters, the telling ones first. */
    order(): string[] {
      parameterOrder ??= tellingOrder(specOf(state).space);
      return parameterOrder;
    },
    end(phase: 'draining' | 'stopping' | 'cancelling', reason: string): void {
      if (RANK[state.phase] >= RANK[phase]) return;
      state.phase = phase;
      state.stopReason = endReason(reason, state.stopReason);
      desk.changed();
    },
    notice(topic: string, text?: string): void {
      if (text === undefined) delete state.notices[topic];
      else state.notices[topic] = text;
      desk.changed();
    },
    noteOutcome(outcome: TrialOutcome): void {
      const row = state.table.rows[outcome.number - 1];
      // An earlier run of a promoted trial may be heard of twice: what counts has more attempts than the row.
      if (row === undefined || isFinal(row.state) || outcome.attempts <= row.attempts) return;
      changeRow(state.table, outcome.number, outcomeChange(specOf(state), row, outcome));
      state.inFlight.delete(outcome.number);
      desk.judgeAgain();
      desk.changed();
      void reportNowAndThen();
    },
    noteVanished(number: number, error: unknown): void {
      const row = state.table.rows[number - 1];
      if (row === undefined || isFinal(row.state)) return;
      log.warn('a trial ended without reporting', { number, error: String(error) });
      changeRow(state.table, number, {
        state: 'cancelled',
        finishedAt: Date.now(),
        failure: { class: 'cancelled', message: 'Its workflow was ended from outside.' },
      });
      state.inFlight.delete(number);
      desk.changed();
    },
    isKnown(params: Point): boolean {
      known ??= new Set(state.table.rows.map((row) => pointKey(row.params)));
      return known.has(pointKey(params));
    },
    remember(params: Point): void {
      fruitless = 0;
      known?.add(pointKey(params));
    },
    /** The user's points that were tried meanwhile, or that came before the space was known and do not lie in it, are not run; a notice says so. */
    dropUselessPoints(): void {
      const { space, allowDuplicates } = specOf(state);
      const isUseless = ({ params }: { readonly params: Point }) =>
        pointProblems(space, params).length > 0 || (!allowDuplicates && desk.isKnown(params));
      const useless = state.enqueued.filter(isUseless);
      if (useless.length === 0) return;
      state.enqueued = state.enqueued.filter((point) => !isUseless(point));
      const points = `${useless.length} enqueued point${useless.length === 1 ? '' : 's'}`;
      desk.notice('enqueued', `${points} not run: tried already, or outside the search space. allow_duplicates: true runs a point again.`);
    },
    /** Nothing could be started. With nothing in flight either, nobody would wake the campaign: it asks again, and ends when that is no use. */
    noteFruitless(): void {
      if (state.inFlight.size > 0) return;
      fruitless += 1;
      if (fruitless > MOST_FRUITLESS) desk.end('draining', 'the sampler brings no point that was not tried');
      desk.changed();
    },
    /** Starts nothing for so long (`spacing`); wakes the campaign then. */
    rest(seconds: number | undefined): void {
      if (seconds === undefined || seconds <= 0) return;
      state.nextStartAt = Date.now() + seconds * 1000;
      void desk.wakeAfterRest();
    },
    async wakeAfterRest(): Promise<void> {
      const milliseconds = (state.nextStartAt ?? 0) - Date.now();
      if (milliseconds <= 0) return;
      await sleep(milliseconds, { summary: 'spacing between submissions' });
      desk.changed();
    },
    /** Stop rules, first trials that all failed, exhaustion: may change the phase. */
    decide(): void {
      if (state.phase === 'draining') desk.keepTime();
      if (state.phase !== 'running' && state.phase !== 'paused') return;
      const spec = specOf(state);
      const verdict = stopVerdictOf(state, spec, Date.now());
      if (verdict !== undefined) desk.end(verdict.phase, verdict.sentence);
      // Of several rules at once the first gives the reason, the hardest the phase.
      const critical = failuresCritical(state);
      if (critical !== undefined) desk.end('stopping', verdict?.sentence ?? critical);
      // In a pause somebody is mending it. Campaigns of earlier versions went on to the end of their budget.
      const alike = state.phase === 'running' ? failuresAlike(state) : undefined;
      if (alike !== undefined && patched('failures-alike')) desk.end('stopping', state.stopReason ?? alike);
      const isDry =
        state.isExhausted && state.enqueued.length + state.ahead.length + (state.again?.length ?? 0) + state.inFlight.size === 0;
      if (isDry) desk.end('draining', 'every point of the search space has been tried');
    },
    /** A campaign that finishes what runs has no more time than its budget gives. Those of earlier versions took it. */
    keepTime(): void {
      const sentence = state.inFlight.size > 0 ? timeVerdictOf(state, Date.now()) : undefined;
      if (sentence !== undefined && patched('drain-keeps-time')) desk.end('stopping', sentence);
    },
    /** Wakes the campaign at its deadline or at the end of its wall time. One timer, only where there is such a limit. */
    async watchClock(): Promise<void> {
      for (;;) {
        const instant = nextInstant(state, Date.now());
        const isMoved = () => nextInstant(state, Date.now()) !== instant || isOver(state);
        if (instant === undefined) await condition(isMoved);
        else await condition(isMoved, Math.max(1, instant - Date.now()));
        if (isOver(state)) return;
        desk.changed();
      }
    },
    judgeAgain(): void {
      state.mustJudge = true;
    },
    /** Whether rungs were reached or trials ended since the last call. */
    takeJudgement(): boolean {
      const must = state.mustJudge === true;
      delete state.mustJudge;
      return must;
    },
    /** Somebody said resume: a wait for a login is cut short. */
    wakeUp(): void {
      isWoken = true;
    },
    /** Waits, at most so long, for somebody to say resume, or for what else ends the wait. */
    async wake(milliseconds: number, isEnough = () => state.phase === 'cancelling'): Promise<void> {
      isWoken = false;
      await condition(() => isWoken || isEnough(), milliseconds);
    },
    /** Something that must be finished before this run may continue as new. */
    async errand(work: () => Promise<void>): Promise<void> {
      errands += 1;
      await work().finally(() => {
        errands -= 1;
      });
    },
    hasErrands: (): boolean => errands > 0,
    /** Asks for points without waiting for them, one question at a time. */
    async ask(question: () => Promise<void>): Promise<void> {
      if (asked === 'waiting' || asked === 'slow') return;
      asked = 'waiting';
      await desk.errand(question);
      asked = 'answered';
      desk.changed();
    },
    /** The answer is late: the campaign looks what can be done without it. */
    noteSlowAnswer(): void {
      if (asked !== 'waiting') return;
      asked = 'slow';
      desk.changed();
    },
    isAnswerSlow: (): boolean => asked === 'slow',
    isAsking: (): boolean => asked === 'waiting' || asked === 'slow',
    /** Whether this run may grow on until the answer is there: to twice the history after which it was to go on as new. */
    awaitAnswer(): boolean {
      awaitedSince ??= workflowInfo().historyLength;
      return workflowInfo().historyLength < 2 * awaitedSince;
    },
    /** The answer would come to a run that is over: the next one asks again. */
    leaveQuestion(): void {
      isQuestionLeft = true;
    },
    isQuestionLeft: (): boolean => isQuestionLeft,
    /** Whether an answer has come since the last call. */
    takeAnswer(): boolean {
      if (asked !== 'answered') return false;
      asked = 'no';
      return true;
    },
    /** Trials in flight that this run has not asked to end; counts them as asked. */
    notYetToldToEnd(): number[] {
      const numbers = [...state.inFlight].filter((number) => !toldToEnd.has(number));
      for (const number of numbers) toldToEnd.add(number);
      return numbers;
    },
  };

  /** A report for those who look meanwhile: each time the finished trials have doubled. */
  async function reportNowAndThen(): Promise<void> {
    const finished = state.table.rows.length - state.inFlight.size;
    if (isReporting || state.phase !== 'running' || finished - state.reportedAt < Math.max(20, state.reportedAt)) return;
    isReporting = true;
    try {
      // Called from a signal's handler, which a cancellation of the workflow would reach.
      await CancellationScope.nonCancellable(() => writeReport(state, specOf(state), desk, 'running'));
    } finally {
      isReporting = false;
    }
  }

  answerMessages(state, desk);
  desk.show();
  return desk;
}

/** The admitted specification; a campaign that is still reading its file says so. */
export function specOf(state: CampaignState): CampaignSpec {
  if (state.spec === undefined) throw new Error(`Campaign ${state.campaign} is still reading its file; ask again in a moment.`);
  return state.spec;
}
