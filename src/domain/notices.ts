import { age, measured } from '../view/format.ts';
import { budgetShare } from '../view/progress.ts';
import { valueMarks } from '../view/synthetic.ts';
import { type CampaignState, statusOf } from './campaign-state.ts';

/** What a person may be told of while nobody looks. */
export const NOTICE_EVENTS = ['needs-login', 'breaker', 'first-result', 'best', 'budget', 'done'] as const;
export type NoticeEvent = (typeof NOTICE_EVENTS)[number];

/** One way to tell; secrets stay references (`env:NAME`). */
export type NotifyTarget = { readonly on: readonly NoticeEvent[] } & (
  | { readonly kind: 'mail'; readonly to: string }
  | { readonly kind: 'webhook'; readonly url: string }
  | { readonly kind: 'command'; readonly command: readonly string[] }
);

export interface Notice {
  readonly event: NoticeEvent;
  /** One sentence. */
  readonly text: string;
}

/** What was told last of each event, and when: the same thing is not told twice, unless it had ended meanwhile or asks for a reminder. */
export type Told = Readonly<Partial<Record<NoticeEvent, LastTold>>>;

interface LastTold {
  readonly what: string;
  readonly at: number;
  /** Of a need that lasts: since when. */
  readonly since?: number;
  /** The need is over; the next one is told, though its words are the same. */
  readonly isOver?: true;
}

/** Least pause between two notices of the same event. */
const PAUSE_MS: Readonly<Partial<Record<NoticeEvent, number>>> = { best: 15 * 60_000, 'needs-login': 60 * 60_000, breaker: 15 * 60_000 };

/** A login that nobody has renewed is told again so often (row R3 of the failures). */
const REMINDER_MS = 12 * 60 * 60_000;

const BUDGET_SHARE = 0.8;

/**
 * What is worth telling now, and the memory with it. Pure: a replayed workflow comes to the same. `maySayAgain` is asked when it matters whether a need
 * that lasts, or comes back, is told again; false keeps to what earlier versions did, for their histories.
 */
export function noticesDue(
  state: CampaignState,
  now: number,
  maySayAgain: () => boolean = () => true,
): { readonly due: readonly Notice[]; readonly told: Told } {
  const happening = happenings(state, now);
  let told = withoutNeed(state.told ?? {}, happening, maySayAgain);
  const due: Notice[] = [];
  for (const { event, text, what } of happening) {
    const last = told[event];
    const isKnown = last !== undefined && last.what === what && last.isOver === undefined;
    if (event === 'needs-login' && last !== undefined && last.isOver === undefined && maySayAgain()) {
      // Other words for the same need are no news.
      if (now - last.at < REMINDER_MS) continue;
      const since = last.since ?? last.at;
      due.push({ event, text: `${text} It has waited for ${age((now - since) / 1000)}.` });
      told = { ...told, [event]: { what, at: now, since } };
      continue;
    }
    if (isKnown) continue;
    if (last !== undefined && now - last.at < (PAUSE_MS[event] ?? 0)) continue;
    due.push({ event, text });
    told = { ...told, [event]: { what, at: now, ...(event === 'needs-login' ? { since: now } : {}) } };
    // The first result is the best so far: it is not told again as such, and the next one need not wait.
    if (event === 'first-result') told = { ...told, best: { what, at: now - (PAUSE_MS.best ?? 0) } };
  }
  return { due, told };
}

/** The instant at which a missing login is told again, in milliseconds; undefined while none is missing or nobody wants to hear of it. */
export function nextReminder(state: CampaignState): number | undefined {
  const isWanted = (state.spec?.notify ?? []).some((target) => target.on.includes('needs-login'));
  const last = state.told?.['needs-login'];
  if (loginNeed(state) === undefined || !isWanted || last === undefined) return undefined;
  return last.at + (last.isOver === undefined ? REMINDER_MS : (PAUSE_MS['needs-login'] ?? 0));
}

/** Needs that are over are marked as such. */
function withoutNeed(told: Told, happening: readonly { readonly event: NoticeEvent }[], mayForget: () => boolean): Told {
  const over = (['needs-login', 'breaker'] as const).filter(
    (event) => told[event] !== undefined && told[event].isOver === undefined && !happening.some((each) => each.event === event),
  );
  if (over.length === 0 || !mayForget()) return told;
  return { ...told, ...Object.fromEntries(over.map((event) => [event, { ...told[event], isOver: true }])) };
}

function loginNeed(state: CampaignState): string | undefined {
  return state.notices.login ?? state.notices['system login'];
}

function happenings(state: CampaignState, now: number): (Notice & { readonly what: string })[] {
  const status = statusOf(state, now);
  const { best, objectives } = status;
  const login = loginNeed(state);
  const breaker = state.notices['system breaker'] ?? state.notices['system refusal'];
  const share = budgetShare(status) ?? 0;
  const metric = objectives[0]?.metric ?? 'objective';
  const value = best?.values[0];
  const isFirst = state.told?.['first-result'] === undefined;
  return [
    ...(login === undefined ? [] : [{ event: 'needs-login' as const, text: login, what: login }]),
    ...(breaker === undefined ? [] : [{ event: 'breaker' as const, text: breaker, what: breaker }]),
    ...(best === undefined || value === undefined
      ? []
      : [
          isFirst
            ? {
                event: 'first-result' as const,
                text: `First result: ${metric} ${measured(value)} in trial ${best.number}${valueMarks(best)}.`,
                what: String(value),
              }
            : {
                event: 'best' as const,
                text: `New best: ${metric} ${measured(value)} in trial ${best.number}${valueMarks(best)}.`,
                what: String(value),
              },
        ]),
    ...(share < BUDGET_SHARE
      ? []
      : [{ event: 'budget' as const, text: `${Math.round(share * 100)} % of the budget is used.`, what: 'once' }]),
  ];
}
