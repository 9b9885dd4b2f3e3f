import { measured } from '../view/format.ts';
import { budgetShare } from '../view/progress.ts';
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

/** What was told last of each event, and when: the same thing is never told twice. */
export type Told = Readonly<Partial<Record<NoticeEvent, { readonly what: string; readonly at: number }>>>;

/** Least pause between two notices of the same event. */
const PAUSE_MS: Readonly<Partial<Record<NoticeEvent, number>>> = { best: 15 * 60_000, 'needs-login': 60 * 60_000, breaker: 15 * 60_000 };

const BUDGET_SHARE = 0.8;

/** What is worth telling now, and the memory with it. Pure: a replayed workflow comes to the same. */
export function noticesDue(state: CampaignState, now: number): { readonly due: readonly Notice[]; readonly told: Told } {
  let told: Told = state.told ?? {};
  const due: Notice[] = [];
  for (const { event, text, what } of happenings(state, now)) {
    const last = told[event];
    if (last !== undefined && (last.what === what || now - last.at < (PAUSE_MS[event] ?? 0))) continue;
    due.push({ event, text });
    told = { ...told, [event]: { what, at: now } };
    // The first result is the best so far: it is not told again as such, and the next one need not wait.
    if (event === 'first-result') told = { ...told, best: { what, at: now - (PAUSE_MS.best ?? 0) } };
  }
  return { due, told };
}

function happenings(state: CampaignState, now: number): (Notice & { readonly what: string })[] {
  const status = statusOf(state, now);
  const { best, objectives } = status;
  const login = state.notices.login ?? state.notices['system login'];
  const breaker = state.notices['system breaker'];
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
                text: `First result: ${metric} ${measured(value)} in trial ${best.number}.`,
                what: String(value),
              }
            : { event: 'best' as const, text: `New best: ${metric} ${measured(value)} in trial ${best.number}.`, what: String(value) },
        ]),
    ...(share < BUDGET_SHARE
      ? []
      : [{ event: 'budget' as const, text: `${Math.round(share * 100)} % of the budget is used.`, what: 'once' }]),
  ];
}
