import type { Client } from '@temporalio/client';
import type { CampaignStatus, SystemStatus } from '../../workflows/messages.ts';
import type { TrialRow } from '../domain/trial.ts';
import { age, columns, duration, instant, measured, percent, plural } from '../view/format.ts';
import { trialSummary } from '../view/parameters.ts';
import { budgetLine, llmLine, progressHeadline, savingLine } from '../view/progress.ts';
import { clip } from '../view/width.ts';
import { mayAnswer, withAbsence } from './absent-worker.ts';
import { askEnd, askLive, askStatus, askSystem, askTable } from './ask-campaign.ts';
import { findCampaign, listCampaigns } from './campaigns.ts';
import type { Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';
import { withLiveClock } from './live-clock.ts';
import { runningTable } from './screen.ts';
import { endText } from './watch.ts';

/** `holdfast ls`: campaigns, the newest first. */
export function ls(options: CommonOptions & { readonly limit: number }, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    const entries = await listCampaigns(client, options.limit);
    const rows = entries.map((entry) => [
      entry.campaign,
      entry.status === 'RUNNING' ? (entry.phase ?? 'running') : entry.status.toLowerCase(),
      entry.system ?? '',
      entry.done === undefined ? '' : String(entry.done),
      entry.best === undefined ? '' : measured(entry.best),
      `${age((Date.now() - entry.startedAt.getTime()) / 1000)} ago`,
    ]);
    const text =
      entries.length === 0
        ? 'There is no campaign yet. Start one with `holdfast run FILE`.'
        : columns([['campaign', 'state', 'system', 'trials', 'best', 'started'], ...rows]).join('\n');
    print(io, options, entries, text);
    return 'ok';
  });
}

/** `holdfast status [CAMPAIGN]`: one screen, the most important sentence first. Exit 3 when its system waits for a login. */
export function status(name: string | undefined, options: CommonOptions, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    const campaign = await findCampaign(client, name);
    const { status: answer, ended } = await statusOrEnd(client, campaign);
    if (answer === undefined) {
      print(io, options, { campaign, ended }, endText(campaign, ended));
      return 'ok';
    }
    const now = withLiveClock(await withAbsence(client, await asEnded(client, answer)));
    const system = now.phase === 'ended' || now.system === '' ? undefined : await askSystem(client, now.system);
    const live = now.phase === 'ended' || now.system === '' ? [] : await askLive(client, now.system, campaign);
    const rows = await askTable(client, campaign);
    // Completed, failed, cancelled or terminated; the campaign itself only knows that it has ended.
    const phase = now.phase === 'ended' ? (await client.workflow.getHandle(campaign).describe()).status.name.toLowerCase() : now.phase;
    const text = [
      `${campaign}  ${phase} ${duration(now.elapsedSeconds)}  ${progressHeadline(now, rows)}`,
      now.headline,
      ...now.problems.map((problem) => `! ${problem}`),
      '',
      `trials  ${countsText(now)}`,
      `budget  ${budgetLine(now)}`,
      ...(now.savedHours === undefined ? [] : [`saved   ${savingLine({ ...now, savedHours: now.savedHours })}`]),
      ...(now.regretBound === undefined ? [] : [`to gain at most ${measured(now.regretBound)}, by the model`]),
      ...(now.llm === undefined ? [] : [`model   ${llmLine(now.llm)}`]),
      ...(now.best === undefined ? [] : [`best    trial ${now.best.number}: ${trialSummary(now.best.params, 90)}`]),
      ...(system === undefined ? [] : systemLines(system)),
      ...(now.resultsDirectory === undefined ? [] : [`results ${now.resultsDirectory}`]),
      ...running(now, rows, live, Math.max(60, io.output.columns ?? 120)),
    ].join('\n');
    print(io, options, { ...now, systemStatus: system ?? null, live }, text);
    return system?.login.kind === 'needs_login' ? 'needsLogin' : 'ok';
  });
}

/** A campaign that was terminated, or ran out of its time, never came to say so itself. */
async function asEnded(client: Client, now: CampaignStatus): Promise<CampaignStatus> {
  if (now.phase === 'ended') return now;
  const { status, closeTime } = await client.workflow.getHandle(now.campaign).describe();
  if (status.name === 'RUNNING' || status.name === 'PAUSED') return now;
  const end = await askEnd(client, now.campaign);
  const reason = end.kind === 'failed' && end.message !== '' ? `: ${end.message}` : '';
  const headline = `${status.name.toLowerCase()}${reason}; what ran of it is ended by its system`;
  const elapsedSeconds = closeTime === undefined ? now.elapsedSeconds : (closeTime.getTime() - now.startedAt) / 1000;
  return { ...now, phase: 'ended', headline, stopReason: headline, elapsedSeconds };
}

/** Enough for a worker that is there although it does not look so: one whose clock or process we see otherwise than it does. */
const SHORT_MILLISECONDS = 2_000;

/** The status; for a campaign that ended while no worker is there to answer, its result. */
export async function statusOrEnd(client: Client, campaign: string) {
  const isRunning = async () => (await client.workflow.getHandle(campaign).describe()).status.name === 'RUNNING';
  try {
    const isEndEnough = !(await mayAnswer(client)) && !(await isRunning());
    return { status: await askStatus(client, campaign, isEndEnough ? SHORT_MILLISECONDS : undefined) };
  } catch (error) {
    if (await isRunning()) throw error;
    return { ended: await askEnd(client, campaign) };
  }
}

function countsText({ counts, successRate, inFlight, queuedPoints, sinceImprovement }: CampaignStatus): string {
  return [
    `completed ${counts.completed}`,
    `failed ${counts.failed}`,
    counts.pruned > 0 ? `pruned ${counts.pruned}` : undefined,
    counts.cancelled > 0 ? `cancelled ${counts.cancelled}` : undefined,
    `in flight ${inFlight.length}`,
    queuedPoints > 0 ? `your points waiting ${queuedPoints}` : undefined,
    successRate === undefined ? undefined : `success ${percent(successRate)}`,
    sinceImprovement > 0 ? `${sinceImprovement} since the last improvement` : undefined,
  ]
    .filter((part) => part !== undefined)
    .join('  ');
}

function systemLines(system: SystemStatus): string[] {
  return [
    `system  ${system.name}: ${system.running} of ${plural(system.slots, 'slot')} busy, ${system.offered} offered, ${system.queued} queued${system.utilisation === undefined ? '' : `, ${percent(system.utilisation)} of slot time used`}; login ${system.login.kind === 'ready' ? 'ready' : 'NEEDED'}`,
    ...(system.login.kind === 'needs_login'
      ? [`! ${system.login.message} Run: holdfast login ${system.name} (since ${instant(system.login.since)})`]
      : []),
    ...(system.breaker.open
      ? [
          `! ${system.name} stopped after repeated failures: ${clip(system.breaker.evidence.at(-1) ?? '', 200)}. Mend the cause, then run: holdfast systems reset ${system.name}`,
        ]
      : []),
    ...system.pilots
      .filter((pilot) => pilot.state !== 'ended')
      .map((pilot) => `pilot   ${pilot.pilot} ${pilot.state} ${pilot.nativeId ?? ''} ${clip(pilot.comment ?? '', 80)}`.trimEnd()),
    ...system.notices.map((notice) => `notice  ${notice}`),
  ];
}

function running(now: CampaignStatus, rows: readonly TrialRow[], live: Awaited<ReturnType<typeof askLive>>, width: number): string[] {
  const lines = runningTable({ status: now, rows, live }, width, 30);
  return lines.length === 0 ? [] : ['', ...lines];
}
