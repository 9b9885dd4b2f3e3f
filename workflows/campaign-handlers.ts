import { setHandler } from '@temporalio/workflow';
import { budgetProblem } from '../src/domain/budget-change.ts';
import { bestOf, type CampaignState, mergeCurves, statusOf, userSuggestions } from '../src/domain/campaign-state.ts';
import { pointProblems } from '../src/domain/points.ts';
import { askAgain, retryProblem } from '../src/domain/retry.ts';
import type { Point } from '../src/domain/space.ts';
import { changeRow, rowsSince } from '../src/domain/table.ts';
import { isFinal, type Suggestion } from '../src/domain/trial.ts';
import { budgetWords } from '../src/view/budget.ts';
import { plural } from '../src/view/format.ts';
import { renewLaunch } from './campaign-calls.ts';
import { type Desk, specOf } from './campaign-desk.ts';
import {
  bestQuery,
  describeQuery,
  drainSignal,
  drainUpdate,
  enqueueSignal,
  enqueueUpdate,
  pauseSignal,
  pauseUpdate,
  type RetryRequest,
  resumeSignal,
  resumeUpdate,
  retryUpdate,
  rungReportsSignal,
  setBudgetUpdate,
  setConcurrencyUpdate,
  statusQuery,
  stopSignal,
  stopUpdate,
  systemNoticeSignal,
  trialFinishedSignal,
  trialsQuery,
} from './messages.ts';

/** Rows a query returns when it does not say how many. */
const ROWS_PER_PAGE = 1000;

/** Queries, and what people, trials and the system may ask of a campaign or tell it. */
export function answerMessages(state: CampaignState, desk: Desk): void {
  const already = () => `already ${state.phase}: ${state.stopReason ?? 'it ends'}`;
  const steering = {
    pause: () => {
      if (state.phase === 'running') state.phase = 'paused';
      if (state.phase === 'preparing') {
        state.isPauseAsked = true;
        return 'paused as soon as its code is staged';
      }
      desk.changed();
      return state.phase === 'paused' ? `paused; ${state.inFlight.size} in flight go on` : `not running (${state.phase}), nothing to pause`;
    },
    resume: () => {
      if (state.phase === 'paused') {
        state.phase = 'running';
        state.judgedFrom = state.table.rows.length;
        if (state.hasHeldPromotions) desk.judgeAgain();
      }
      state.isPauseAsked = false;
      desk.wakeUp();
      desk.changed();
      return state.phase === 'running' ? 'running' : `not paused (${state.phase})`;
    },
    drain: (reason?: string) => {
      desk.end('draining', reason ?? 'drained by the user');
      return state.phase === 'draining' ? `draining; ${state.inFlight.size} in flight will finish` : already();
    },
    stop: (reason?: string) => {
      desk.end('stopping', reason ?? 'stopped by the user');
      return state.phase === 'stopping' ? `stopping; ${state.inFlight.size} in flight are ended` : already();
    },
    enqueue: (points: Point | readonly Point[]) => {
      const suggestions = userSuggestions(points);
      const good = suggestions.filter(({ params }) => state.spec === undefined || pointProblems(state.spec.space, params).length === 0);
      const isRepeat = ({ params }: Suggestion) => state.spec?.allowDuplicates === false && desk.isKnown(params);
      const fresh = good.filter((suggestion) => !isRepeat(suggestion));
      state.enqueued.push(...fresh);
      desk.changed();
      const tried = good.length - fresh.length;
      return `${plural(fresh.length, 'point')} enqueued${tried === 0 ? '' : `; ${plural(tried, 'point')} tried already (allow_duplicates: true runs a point again)`}`;
    },
  };
  const needsRunning = () => {
    if (!['preparing', 'running', 'paused'].includes(state.phase))
      throw new Error(`The campaign is ${state.phase}; it starts nothing any more.`);
  };
  const checkPoints = (points: Point | readonly Point[]) => {
    needsRunning();
    const spec = specOf(state);
    const problems = userSuggestions(points).flatMap(({ params }) => pointProblems(spec.space, params));
    if (problems.length > 0) throw new Error(problems.join(' '));
  };

  setHandler(statusQuery, () => statusOf(state, Date.now()), { description: 'Phase, counts, best trial, what it waits for.' });
  setHandler(trialsQuery, (request) => rowsSince(state.table, request?.since ?? 0, request?.limit ?? ROWS_PER_PAGE), {
    description: 'Rows of the table. Optional argument: {"since": version, "limit": n}.',
  });
  setHandler(bestQuery, (count) => (state.spec === undefined ? [] : bestOf(state.spec, state.table.rows, count ?? 1)), {
    description: 'The best trials. Optional argument: how many.',
  });
  setHandler(
    describeQuery,
    () => ({
      spec: specOf(state),
      provenance: state.provenance,
      ...(state.launch ? { launch: state.launch } : {}),
      ...(state.openLaunch ? { openLaunch: state.openLaunch } : {}),
    }),
    {
      description: 'The admitted specification and where the results lie.',
    },
  );
  setHandler(pauseSignal, () => void steering.pause(), { description: 'Start nothing new; what runs goes on.' });
  setHandler(resumeSignal, () => void steering.resume(), { description: 'Go on after pause.' });
  setHandler(drainSignal, (reason) => void steering.drain(reason), { description: 'Finish what runs, then report.' });
  setHandler(stopSignal, (reason) => void steering.stop(reason), { description: 'End what runs, then report.' });
  setHandler(enqueueSignal, (points) => void steering.enqueue(points), { description: 'Try these points next.' });
  setHandler(trialFinishedSignal, ({ outcome, launch }) => {
    // A trial that an earlier campaign of this name has left says nothing about ours.
    if (launch === undefined || launch === state.launch?.launch) desk.noteOutcome(outcome);
  });
  setHandler(systemNoticeSignal, ({ topic, text, share }) => {
    if (share !== undefined) state.nodeHoursShare = share;
    desk.notice(`system ${topic}`, text);
    if (topic === 'budget' && text !== undefined && ['running', 'paused', 'draining'].includes(state.phase)) steering.stop(text);
  });
  setHandler(rungReportsSignal, ({ reports }) => {
    for (const { number, rungs } of reports) {
      const row = state.table.rows[number - 1];
      if (row !== undefined && !isFinal(row.state))
        changeRow(state.table, number, { state: 'running', curve: mergeCurves(row.curve, rungs) });
    }
    desk.judgeAgain();
    desk.changed();
  });
  setHandler(pauseUpdate, steering.pause);
  setHandler(resumeUpdate, steering.resume);
  setHandler(drainUpdate, steering.drain);
  setHandler(stopUpdate, steering.stop);
  setHandler(enqueueUpdate, steering.enqueue, { validator: checkPoints });
  setHandler(
    retryUpdate,
    (request?: RetryRequest) => {
      const numbers = askAgain(state, request);
      desk.changed();
      return `${plural(numbers.length, 'trial')} again: ${numbers.slice(0, 10).join(', ')}${numbers.length > 10 ? ', …' : ''}`;
    },
    {
      validator: (request?: RetryRequest) => {
        needsRunning();
        const problem = retryProblem(state.table.rows, request);
        if (problem !== undefined) throw new Error(problem);
      },
    },
  );
  setHandler(
    setConcurrencyUpdate,
    (concurrency) => {
      state.concurrency = concurrency;
      if (state.phase === 'preparing') state.isConcurrencySet = true;
      desk.changed();
      return `at most ${plural(concurrency, 'trial')} in flight`;
    },
    {
      validator: (concurrency) => {
        needsRunning();
        specOf(state);
        if (!Number.isInteger(concurrency) || concurrency < 1)
          throw new Error(`concurrency must be a whole number of at least 1, not ${concurrency}.`);
      },
    },
  );
  setHandler(
    setBudgetUpdate,
    async (budget) => {
      state.budget = { ...state.budget, ...budget };
      // The system tells the marks of the new ones.
      if (budget.nodeHours !== undefined) delete state.nodeHoursShare;
      desk.changed();
      if (budget.nodeHours !== undefined) await renewLaunch(state, { nodeHours: budget.nodeHours });
      return `the budget is now ${budgetWords(state.budget).join(', ')}`;
    },
    {
      validator: (budget) => {
        needsRunning();
        const problem = budgetProblem(budget, specOf(state).system.kind, { now: Date.now(), startedAt: state.startedAt });
        if (problem !== undefined) throw new Error(problem);
      },
    },
  );
}
