import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { CampaignResult, CampaignStatus } from '../../workflows/messages.ts';
import { isFinal, type TrialRow } from '../domain/trial.ts';
import { duration, measured, plural, short } from '../view/format.ts';
import { valueMarks } from '../view/synthetic.ts';
import { clip } from '../view/width.ts';
import { withAbsence } from './absent-worker.ts';
import { askEnd, askLive, askStatus, askSystem, askTrials, type CampaignEnd, hasFailedTask } from './ask-campaign.ts';
import { findCampaign } from './campaigns.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, painter, type QuietOptions, withClient } from './io.ts';
import { withLiveClock } from './live-clock.ts';
import { advance, eventLine, type Progress, progressText, type Scene, screen } from './screen.ts';

export interface WatchOptions extends QuietOptions {
  /** The worker is in this process: while it does not answer it is starting, or busy. */
  readonly isWorkerHere?: boolean;
}

const REFRESH_MILLISECONDS = 1000;
const MOST_PAST_LINES = 20;

/**
 * Shows a campaign until it ends: a screen that is refreshed in place on a terminal, a line per event elsewhere (JSON lines with `json`); with `quiet`
 * only what needs a person, and the end.
 * Ctrl-C leaves the view; the campaign goes on. Returns how to exit.
 */
export async function watchCampaign(client: Client, campaign: string, io: CliIo, options: WatchOptions): Promise<Exit> {
  const waiting = new AbortController();
  const end = client.withAbortSignal(waiting.signal, () => askEnd(client, campaign));
  // Awaited after the loop; a rejection in between must not end the process.
  end.catch(() => undefined);
  const rows: TrialRow[] = [];
  let version = 0;
  let status: CampaignStatus | undefined;
  const view = viewFor(io, options);
  try {
    for (let isOver = false; !isOver && !io.interrupted.aborted; ) {
      try {
        status = withLiveClock(await withAbsence(client, await askStatus(client, campaign)));
        const news = await askTrials(client, campaign, version);
        version = news.version;
        for (const row of news.rows) rows[row.number - 1] = row;
        const [live, system] =
          status.system === '' || status.phase === 'ended'
            ? [[], undefined]
            : await Promise.all([askLive(client, status.system, campaign), askSystem(client, status.system)]);
        view.show({ status, rows, live, ...(system === undefined ? {} : { system }) }, news.rows);
      } catch (error) {
        // A worker that restarts, a server that comes back: the view waits like the campaign does.
        if (!(error instanceof CliError && error.code === 'HF-NO-WORKER') && !isStarting(error) && !hasFailedTask(error)) throw error;
        if (hasFailedTask(error)) view.say('The worker has failed at a step of the campaign and tries it again; its log says why.', true);
        else if (error instanceof CliError && options.isWorkerHere !== true)
          view.say('No worker answers; the campaign is safe and waits. Start one with `holdfast worker`.', true);
        else view.say(status === undefined ? 'The campaign is starting.' : 'The worker is busy.', false);
      }
      isOver = await Promise.race([
        end.then(always, always),
        sleep(REFRESH_MILLISECONDS, false, { signal: io.interrupted }).catch(() => false),
      ]);
    }
    if (!io.interrupted.aborted) {
      // What ended between the last look and the end.
      const news = await askTrials(client, campaign, version).catch(() => ({ rows: [] as TrialRow[] }));
      for (const row of news.rows) rows[row.number - 1] = row;
      status = await askStatus(client, campaign).catch(() => status);
      if (status !== undefined) view.show({ status, rows, live: [] }, news.rows);
    }
  } finally {
    view.close();
    // A long poll that is left behind would try again on a closed connection, where nobody could catch it.
    waiting.abort();
  }
  if (io.interrupted.aborted) {
    // A worker of this process ends with it: whoever started it says how the campaign goes on.
    if (options.isWorkerHere !== true) io.errors.write(`Left the view; ${campaign} goes on. Come back: holdfast watch ${campaign}\n`);
    return 'ok';
  }
  const how = await end;
  io.output.write(options.json === true ? `${JSON.stringify({ event: 'end', ...how })}\n` : endText(campaign, how, status));
  return how.kind === 'result' ? 'ok' : 'failed';
}

/** `holdfast watch [CAMPAIGN]`. */
export function watch(name: string | undefined, options: QuietOptions, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => watchCampaign(client, await findCampaign(client, name), io, options));
}

const always = () => true;

/** The campaign's file is still being read: it has no table yet. */
function isStarting(error: unknown): boolean {
  return error instanceof Error && /still reading its file/.test(error.message);
}

interface View {
  show(scene: Scene, changed: readonly TrialRow[]): void;
  say(text: string, isProblem: boolean): void;
  close(): void;
}

function viewFor(io: CliIo, options: QuietOptions): View {
  if (options.quiet === true) return quietView(io);
  return options.json !== true && io.output.isTTY === true ? terminalView(io) : lineView(io, options);
}

/** No progress, but what keeps the campaign from going on is told, once. */
function quietView(io: CliIo): View {
  const told = new Set<string>();
  const say = (text: string) => {
    if (!told.has(text)) io.errors.write(`${text}\n`);
    told.add(text);
  };
  return {
    show: ({ status }) => status.problems.forEach(say),
    say: (text, isProblem) => {
      if (isProblem) say(text);
    },
    close: () => undefined,
  };
}

/** One write per refresh, line by line over the old ones: no flicker, also over ssh. The cursor is hidden meanwhile. */
function terminalView(io: CliIo): View {
  const paint = painter(io);
  let drawn = 0;
  let isHidden = false;
  let shown: readonly string[] = [];
  const draw = (lines: readonly string[]) => {
    const back = drawn > 0 ? `\u001b[${drawn}A\r` : '';
    io.output.write(`${isHidden ? '' : '\u001b[?25l'}${back}${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`);
    isHidden = true;
    drawn = lines.length;
  };
  return {
    show: (scene) => {
      shown = screen(scene, { width: io.output.columns ?? 100, height: (io.output.rows ?? 30) - 1 }, paint);
      draw(shown);
    },
    // In the place of the last line: what stands above it is old.
    say: (text, isProblem) => {
      if (shown.length === 0) draw([clip(text, io.output.columns ?? 100)]);
      else if (isProblem) draw([...shown.slice(0, -1), paint('red', clip(`! ${text}`, io.output.columns ?? 100))]);
    },
    close: () => {
      if (isHidden) io.output.write('\u001b[?25h');
    },
  };
}

function lineView(io: CliIo, options: QuietOptions): View {
  let said = '';
  let headline = '';
  const say = (text: string) => {
    if (text !== said && options.json !== true) io.output.write(`${text}\n`);
    said = text;
  };
  let progress: Progress = { ended: 0 };
  let isFirst = true;
  const tell = (status: CampaignStatus, changed: readonly TrialRow[]) => {
    const ended = changed.filter((row) => isFinal(row.state)).sort((a, b) => (a.finishedAt ?? 0) - (b.finishedAt ?? 0));
    // Someone who comes late wants to know where it stands, not every line since the beginning.
    const isLate = isFirst && ended.length > MOST_PAST_LINES && options.json !== true;
    for (const row of ended) {
      progress = advance(progress, row, status.objectives[0]?.direction ?? 'maximize', status.metricConstraints);
      if (options.json === true) io.output.write(`${JSON.stringify({ event: 'trial', ...row })}\n`);
      else if (!isLate) io.output.write(`${eventLine(row, progress, status)}\n`);
    }
    if (isLate) io.output.write(`${plural(ended.length, 'trial')} have ended so far${progressText(progress, status)}\n`);
    isFirst = false;
  };
  return {
    show: ({ status }, changed) => {
      tell(status, changed);
      // Waiting for trials is the ordinary state; anything else is news. How it ended is said at the end.
      const text =
        status.phase === 'ended' || (status.phase === 'running' && status.problems.length === 0)
          ? ''
          : [`${status.phase}: ${status.headline}`, ...status.problems].join(' · ');
      if (text !== '' && text !== headline) say(text);
      headline = text;
    },
    say,
    close: () => undefined,
  };
}

/** What the result would have said, for a campaign that ended without one. */
function fromStatus(
  { status, message }: Extract<CampaignEnd, { kind: 'failed' }>,
  { counts, best, elapsedSeconds, stopReason, headline, resultsDirectory }: CampaignStatus,
): Pick<CampaignResult, 'counts' | 'best' | 'elapsedSeconds' | 'stopReason' | 'resultsDirectory' | 'reportPath' | 'lastWords'> & {
  readonly status: string;
} {
  return {
    status,
    counts,
    elapsedSeconds,
    stopReason: stopReason ?? (status !== 'cancelled' && message !== '' ? message : headline),
    ...(best === undefined ? {} : { best }),
    ...(resultsDirectory === undefined ? {} : { resultsDirectory }),
  };
}

/** The last words about a campaign: how it ended, the best configuration, where the results lie. */
export function endText(campaign: string, end: CampaignEnd, status?: CampaignStatus): string {
  const result = end.result ?? (end.kind === 'failed' && status !== undefined ? fromStatus(end, status) : undefined);
  if (result === undefined) return `\n${campaign} ${end.kind === 'failed' ? `${end.status}: ${end.message}` : ''}\n`;
  const metric = status?.objectives[0]?.metric ?? 'objective';
  const { best, counts, lastWords } = result;
  const failed = counts.failed > 0 ? `, ${counts.failed} failed (see holdfast errors ${campaign})` : '';
  return [
    '',
    `${campaign} ${result.status} after ${duration(result.elapsedSeconds)}: ${result.stopReason}`,
    `${plural(counts.completed, 'trial')} completed${counts.pruned > 0 ? `, ${counts.pruned} pruned` : ''}${failed}`,
    ...(best === undefined
      ? [
          'no trial has a result',
          ...(lastWords === undefined
            ? []
            : [`the last that trial ${lastWords.number} said:`, ...lastWords.lines.map((line) => `  ${line}`)]),
        ]
      : [
          `best ${metric} ${measured(best.values[0] ?? Number.NaN)} in trial ${best.number}${valueMarks(best)}:`,
          ...Object.entries(best.params).map(([name, value]) => `  ${name}: ${short(value)}`),
        ]),
    ...(result.resultsDirectory === undefined ? [] : [`results: ${result.resultsDirectory}`]),
    ...(result.reportPath === undefined ? [] : [`report:  ${result.reportPath}`]),
    '',
  ].join('\n');
}
