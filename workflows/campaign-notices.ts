import { condition, log, patched } from '@temporalio/workflow';
import { isOver } from '../src/domain/campaign-policy.ts';
import type { CampaignState } from '../src/domain/campaign-state.ts';
import { type Notice, nextReminder, noticesDue } from '../src/domain/notices.ts';
import { notify } from './options.ts';

/** How long the end of a run waits for notices on their way. */
const PATIENCE_MS = 60_000;

/** Histories of earlier versions tell of each login once and have no timer that reminds. */
const saysAgain = () => patched('login-reminders');

/** Tells people what they asked to be told (`notify`). Never in the way of the search, and nothing that fails here ends anything. */
export function openHerald(state: CampaignState) {
  let onTheirWay = 0;
  const isEnding = () => isOver(state) || state.phase === 'reporting' || state.phase === 'ended';

  function send(notice: Notice): void {
    for (const target of state.spec?.notify ?? []) {
      if (!target.on.includes(notice.event)) continue;
      onTheirWay += 1;
      notify
        .executeWithOptions({ summary: `${notice.event} by ${target.kind}` }, [
          { target, message: { ...notice, campaign: state.campaign } },
        ])
        .catch((error: unknown) => log.warn('a notice could not be sent', { event: notice.event, error: String(error) }))
        .finally(() => {
          onTheirWay -= 1;
        });
    }
  }

  return {
    /** Tells what has happened since the last call. */
    tell(): void {
      if (state.spec?.notify === undefined) return;
      const { due, told } = noticesDue(state, Date.now(), saysAgain);
      state.told = told;
      for (const notice of due) send(notice);
    },
    /** Wakes the campaign when a login that is still missing is due to be told again. One timer, only while somebody waits to be told. */
    async remind(wake: () => void): Promise<void> {
      for (;;) {
        await condition(() => isEnding() || nextReminder(state) !== undefined);
        if (isEnding() || !saysAgain()) return;
        const instant = nextReminder(state);
        // Between the condition and here the campaign has come to its report, or the login has come.
        if (instant === undefined) continue;
        const isMoved = () => isOver(state) || nextReminder(state) !== instant;
        if (await condition(isMoved, Math.max(1000, instant - Date.now()))) continue;
        wake();
        await condition(isMoved);
      }
    },
    tellEnd(text: string): void {
      send({ event: 'done', text });
    },
    /** Waits for what is on its way, but not long. */
    async settle(): Promise<void> {
      if (onTheirWay > 0) await condition(() => onTheirWay === 0, PATIENCE_MS);
    },
  };
}
