import {
  ActivityFailure,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import { hopelessness, isOver, nextInstant, stopVerdictOf } from '../src/domain/campaign-policy.ts';
import {
  bestOf,
  type CampaignState,
  countsOf,
  mergeCurves,
  outcomeChange,
  statusOf,
  userSuggestions,
} from '../src/domain/campaign-state.ts';
import { systemWorkflowId, trialWorkflowId } from '../src/domain/ids.ts';
import { pointKey, pointProblems } from '../src/domain/points.ts';
import { ATTRIBUTES } from '../src/domain/search-attributes.ts';
import type { Point } from '../src/domain/space.ts';
import { changeRow, rowsSince } from '../src/domain/table.ts';
import { isFinal, type TrialOutcome } from '../src/domain/trial.ts';
import { campaignDetails } from '../src/view/campaign.ts';
import { tellingOrder } from '../src/view/parameters.ts';
import * as messages from './messages.ts';
import { findLostTrials, guardSystem, reportsOn } from './options.ts';

/** Rows a query returns when it does not say how many. */
const ROWS_PER_PAGE = 1000;

export type Desk = ReturnType<typeof openDesk>;

/** Handlers, and everything that changes the state on somebody's word. Made before the first await. */
export function openDesk(state: CampaignState) {
  let isChanged = false;
  let isReporting = false;
  let isWoken = false;
  let mustJudge = false;
  let known: Set<string> | undefined;
  let parameterOrder: string[] | undefined;
  const toldToEnd = new Set<number>();

  const changed = () => {
    isChanged = true;
  };
  const show = (): string => {
    const now = Date.now();
    const details = campaignDetails(statusOf(state, now), state.table.rows, {
      ...(state.spec === undefined ? {} : { order: order() }),
      ...(state.spec?.metricConstraints === undefined ? {} : { constraints: state.spec.metricConstraints }),
    });
    setCurrentDetails(details);
    if (state.hasSearchAttributes && state.spec !== undefined) noteAttributes(state, state.spec);
    return details;
  };
  const order = (): string[] => {
    parameterOrder ??= tellingOrder(specOf(state).space);
    return parameterOrder;
  };
  const end = (phase: 'draining' | 'stopping' | 'cancelling', reason: string) => {
    const rank = { preparing: 0, running: 0, paused: 0, draining: 1, stopping: 2, cancelling: 3, reporting: 9, ended: 9 };
    if (rank[state.phase] >= rank[phase]) return;
    state.phase = phase;
    state.stopReason ??= reason;
    changed();
  };
  const notice = (topic: string, text?: string) => {
    if (text === undefined) delete state.notices[topic];
    else state.notices[topic] = text;
    changed();
  };
  const noteOutcome = (outcome: TrialOutcome) => {
    const row = state.table.rows[outcome.number - 1];
    // An earlier run of a promoted trial may be heard of twice: what counts has more attempts than the row.
    if (row === undefined || isFinal(row.state) || outcome.attempts <= row.attempts) return;
    changeRow(state.table, outcome.number, outcomeChange(specOf(state), row, outcome));
    state.inFlight.delete(outcome.number);
    mustJudge = true;
    changed();
    void reportNowAndThen();
  };
  const noteVanished = (number: number, error: unknown) => {
    const row = state.table.rows[number - 1];
    if (row === undefined || isFinal(row.state)) return;
    log.warn('a trial ended without reporting', { number, error: String(error) });
    changeRow(state.table, number, {
      state: 'cancelled',
      finishedAt: Date.now(),
      failure: { class: 'cancelled', message: 'Its workflow was ended from outside.' },
    });
    state.inFlight.delete(number);
    changed();
  };
  /** A report for those who look meanwhile: each time the finished trials have doubled. */
  async function reportNowAndThen(): Promise<void> {
    const finished = state.table.rows.length - state.inFlight.size;
    if (isReporting || state.phase !== 'running' || finished - state.reportedAt < Math.max(20, state.reportedAt)) return;
    isReporting = true;
    try {
      await writeReport(state, specOf(state), desk, 'running');
    } finally {
      isReporting = false;
    }
  }

  /** The system plans pilots within the node-hours, so it hears of a change. Before the launch is open, it will be told the right figure. */
  async function renewLaunch(change: { readonly nodeHours: number }): Promise<void> {
    if (state.openLaunch === undefined) return;
    state.openLaunch = { ...state.openLaunch, ...change };
    await getExternalWorkflowHandle(systemWorkflowId(specOf(state).system.name))
      .signal(messages.openLaunchSignal, state.openLaunch)
      .catch((error: unknown) => log.info('the system is gone; it is told when it is back', { error: String(error) }));
  }

  const steering = {
    pause: () => {
      if (state.phase === 'running') state.phase = 'paused';
      if (state.phase === 'preparing') {
        state.isPauseAsked = true;
        return 'paused as soon as its code is staged';
      }
      changed();
      return state.phase === 'paused' ? `paused; ${state.inFlight.size} in flight go on` : `not running (${state.phase}), nothing to pause`;
    },
    resume: () => {
      if (state.phase === 'paused') state.phase = 'running';
      state.isPauseAsked = false;
      isWoken = true;
      changed();
      return state.phase === 'running' ? 'running' : `not paused (${state.phase})`;
    },
    drain: (reason?: string) => {
      end('draining', reason ?? 'drained by the user');
      return `draining; ${state.inFlight.size} in flight will finish`;
    },
    stop: (reason?: string) => {
      end('stopping', reason ?? 'stopped by the user');
      return `stopping; ${state.inFlight.size} in flight are ended`;
    },
    enqueue: (points: Point | readonly Point[]) => {
      const suggestions = userSuggestions(points);
      const good = suggestions.filter(({ params }) => state.spec === undefined || pointProblems(state.spec.space, params).length === 0);
      state.enqueued.push(...good);
      changed();
      return `${good.length} point${good.length === 1 ? '' : 's'} enqueued`;
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

  setHandler(messages.statusQuery, () => statusOf(state, Date.now()), { description: 'Phase, counts, best trial, what it waits for.' });
  setHandler(messages.trialsQuery, (request) => rowsSince(state.table, request?.since ?? 0, request?.limit ?? ROWS_PER_PAGE), {
    description: 'Rows of the table. Optional argument: {"since": version, "limit": n}.',
  });
  setHandler(messages.bestQuery, (count) => (state.spec === undefined ? [] : bestOf(state.spec, state.table.rows, count ?? 1)), {
    description: 'The best trials. Optional argument: how many.',
  });
  setHandler(
    messages.describeQuery,
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
  setHandler(messages.pauseSignal, () => void steering.pause(), { description: 'Start nothing new; what runs goes on.' });
  setHandler(messages.resumeSignal, () => void steering.resume(), { description: 'Go on after pause.' });
  setHandler(messages.drainSignal, (reason) => void steering.drain(reason), { description: 'Finish what runs, then report.' });
  setHandler(messages.stopSignal, (reason) => void steering.stop(reason), { description: 'End what runs, then report.' });
  setHandler(messages.enqueueSignal, (points) => void steering.enqueue(points), { description: 'Try these points next.' });
  setHandler(messages.trialFinishedSignal, ({ outcome }) => noteOutcome(outcome));
  setHandler(messages.systemNoticeSignal, ({ topic, text }) => {
    notice(`system ${topic}`, text);
    if (topic === 'budget' && text !== undefined && ['running', 'paused', 'draining'].includes(state.phase)) steering.stop(text);
  });
  setHandler(messages.rungReportsSignal, ({ reports }) => {
    for (const { number, rungs } of reports) {
      const row = state.table.rows[number - 1];
      if (row !== undefined && !isFinal(row.state))
        changeRow(state.table, number, { state: 'running', curve: mergeCurves(row.curve, rungs) });
    }
    mustJudge = true;
    changed();
  });
  setHandler(messages.pauseUpdate, steering.pause);
  setHandler(messages.resumeUpdate, steering.resume);
  setHandler(messages.drainUpdate, steering.drain);
  setHandler(messages.stopUpdate, steering.stop);
  setHandler(messages.enqueueUpdate, steering.enqueue, { validator: checkPoints });
  setHandler(
    messages.setConcurrencyUpdate,
    (concurrency) => {
      state.concurrency = concurrency;
      changed();
      return `at most ${concurrency} trials in flight`;
    },
    {
      validator: (concurrency) => {
        if (!Number.isInteger(concurrency) || concurrency < 1)
          throw new Error(`concurrency must be a whole number of at least 1, not ${concurrency}.`);
      },
    },
  );
  setHandler(
    messages.setBudgetUpdate,
    async (budget) => {
      state.budget = { ...state.budget, ...budget };
      changed();
      if (budget.nodeHours !== undefined) await renewLaunch({ nodeHours: budget.nodeHours });
      return `budget: ${JSON.stringify(state.budget)}`;
    },
    {
      validator: (budget) => {
        needsRunning();
        const names = ['trials', 'nodeHours', 'wallSeconds', 'deadline'];
        const wrong = Object.entries(budget ?? {}).find(
          ([name, value]) =>
            !names.includes(name) || (name === 'deadline' ? Number.isNaN(Date.parse(String(value))) : !(Number(value) > 0)),
        );
        if (wrong)
          throw new Error(
            `budget.${wrong[0]}: ${JSON.stringify(wrong[1])} is no limit (${names.join(', ')}; numbers above 0, deadline in ISO 8601).`,
          );
      },
    },
  );
  show();

  const desk = {
    show,
    order,
    end,
    notice,
    noteOutcome,
    noteVanished,
    isKnown: (params: Point) => {
      known ??= new Set(state.table.rows.map((row) => pointKey(row.params)));
      return known.has(pointKey(params));
    },
    remember: (params: Point) => void known?.add(pointKey(params)),
    async news(): Promise<void> {
      await condition(() => isChanged || workflowInfo().continueAsNewSuggested);
      isChanged = false;
    },
    /** Stop rules, exhaustion, hopelessness: may change the phase. */
    decide(): void {
      const spec = specOf(state);
      if (state.phase !== 'running' && state.phase !== 'paused') return;
      const verdict = stopVerdictOf(state, spec, Date.now());
      if (verdict !== undefined) end(verdict.phase, verdict.sentence);
      const sentence = hopelessness(state.table.rows);
      if (sentence !== undefined) end('stopping', sentence);
      const isDry = state.isExhausted && state.enqueued.length + state.ahead.length + state.inFlight.size === 0;
      if (isDry) end('draining', 'every point of the search space has been tried');
    },
    /** Wakes the campaign at its deadline or at the end of its wall time. One timer, only where there is such a limit. */
    async watchClock(): Promise<void> {
      for (;;) {
        const instant = nextInstant(state, Date.now());
        const isMoved = () => nextInstant(state, Date.now()) !== instant || isOver(state);
        if (instant === undefined) await condition(isMoved);
        else await condition(isMoved, Math.max(1, instant - Date.now()));
        if (isOver(state)) return;
        changed();
      }
    },
    /** Whether rungs were reached or trials ended since the last call. */
    takeJudgement(): boolean {
      const must = mustJudge;
      mustJudge = false;
      return must;
    },
    /** Asks a trial to end early; its checkpoint stays. */
    async prune(number: number, reason: string): Promise<void> {
      await getExternalWorkflowHandle(trialWorkflowId(state.campaign, number))
        .signal(messages.cancelTrialSignal, { kind: 'prune', reason })
        .catch((error: unknown) => log.info('a trial ended before it could be pruned', { number, error: String(error) }));
    },
    /** Waits, at most so long, for somebody to say resume. */
    async wake(milliseconds: number): Promise<void> {
      isWoken = false;
      await condition(() => isWoken || state.phase === 'cancelling', milliseconds);
    },
    /**
     * Keeps one activity pending that ends only when the system's workflow is gone (terminated by hand, say): it is brought back, and trials
     * in flight say again what they want. Costs no history while all is well.
     */
    guardSystem(): CancellationScope {
      const scope = new CancellationScope({ cancellable: true });
      scope
        .run(async () => {
          while (state.openLaunch !== undefined) {
            await guardSystem({ system: specOf(state).system.name, launch: state.openLaunch });
            log.warn('the system was gone; trials in flight submit again');
            await Promise.all(
              [...state.inFlight].map((number) =>
                getExternalWorkflowHandle(trialWorkflowId(state.campaign, number))
                  .signal(messages.resubmitSignal)
                  .catch((error: unknown) => log.info('a trial has ended meanwhile', { error: String(error) })),
              ),
            );
          }
        })
        .catch((error: unknown) => {
          if (!isCancellation(error)) throw error;
        });
      return scope;
    },
    /** Asks every trial in flight, once, to end what runs. */
    async endTrials(): Promise<void> {
      const numbers = [...state.inFlight].filter((number) => !toldToEnd.has(number));
      for (const number of numbers) toldToEnd.add(number);
      const unreachable: number[] = [];
      await Promise.all(
        numbers.map((number) =>
          getExternalWorkflowHandle(trialWorkflowId(state.campaign, number))
            .signal(messages.cancelTrialSignal, { kind: 'cancel', reason: state.stopReason ?? 'the campaign ends' })
            .catch(() => unreachable.push(number)),
        ),
      );
      if (unreachable.length > 0) await desk.findLost(unreachable);
    },
    /** Trials in flight whose workflow has ended without our hearing of it. */
    async findLost(numbers: readonly number[] = [...state.inFlight]): Promise<void> {
      if (numbers.length === 0) return;
      for (const lost of await findLostTrials({ campaign: state.campaign, numbers })) {
        if (lost.outcome === undefined) noteVanished(lost.number, lost.status);
        else noteOutcome(lost.outcome);
      }
    },
  };
  return desk;
}

/** State, best and done as search attributes: one event, so only when the list would look different. */
function noteAttributes(state: CampaignState, spec: CampaignSpec): void {
  const counts = countsOf(state.table.rows);
  const done = counts.total - counts.queued;
  const step = Math.max(1, Math.floor((state.budget.trials ?? 100) / 10));
  const best = bestOf(spec, state.table.rows, 1)[0]?.values[0] ?? null;
  const isEnd = state.phase === 'ended';
  const shown = `${state.phase} ${isEnd ? done : Math.floor(done / step)}`;
  if (shown === state.lastAttributes) return;
  state.lastAttributes = shown;
  upsertSearchAttributes([
    { key: ATTRIBUTES.campaign, value: state.campaign },
    { key: ATTRIBUTES.system, value: spec.system.name },
    { key: ATTRIBUTES.state, value: state.phase },
    { key: ATTRIBUTES.best, value: best },
    { key: ATTRIBUTES.done, value: done },
  ]);
}

/** The admitted specification; a campaign that is still reading its file says so. */
export function specOf(state: CampaignState): CampaignSpec {
  if (state.spec === undefined) throw new Error(`Campaign ${state.campaign} is still reading its file; ask again in a moment.`);
  return state.spec;
}

/** Has the report written; a failure to do so is a notice, since the report can be made again from the history. */
export async function writeReport(
  state: CampaignState,
  spec: CampaignSpec,
  desk: Desk,
  status: messages.CampaignResult['status'] | 'running',
) {
  if (state.launch === undefined) return undefined;
  state.reportedAt = state.table.rows.filter((row) => isFinal(row.state)).length;
  try {
    const { path } = await reportsOn(spec.system.name).writeReport({
      system: spec.system.name,
      campaign: state.campaign,
      chain: workflowInfo().firstExecutionRunId,
      directory: state.launch.localDirectory,
      status,
    });
    desk.notice('report');
    return path;
  } catch (error) {
    if (isCancellation(error)) throw error;
    const message = error instanceof ActivityFailure && error.cause ? error.cause.message : String(error);
    desk.notice('report', `The report could not be written: ${message} Make it again with \`holdfast report ${state.campaign}\`.`);
    return undefined;
  }
}
