import type { CampaignStatus, LiveTrial, SystemStatus } from '../../workflows/messages.ts';
import type { MetricConstraint } from '../domain/campaign.ts';
import { trialNumber } from '../domain/ids.ts';
import type { TrialRow } from '../domain/trial.ts';
import { failureProblems } from '../view/campaign.ts';
import { endWords } from '../view/end-words.ts';
import { age, columns, duration, measured, percent, short } from '../view/format.ts';
import { trialSummary } from '../view/parameters.ts';
import { budgetShare, endedTrials, secondsLeft } from '../view/progress.ts';
import { brokenMark, isBetter, rankedValue } from '../view/ranking.ts';
import { valueMarks } from '../view/synthetic.ts';
import { clip, displayWidth, visible } from '../view/width.ts';
import type { Paint } from './io.ts';

/** Everything that the watched campaign's screen shows. */
export interface Scene {
  readonly status: CampaignStatus;
  readonly rows: readonly TrialRow[];
  readonly live: readonly LiveTrial[];
  readonly system?: SystemStatus;
}

/** The screen as lines of at most `width` characters and at most `height` lines; pure, so that tests can look at it. */
export function screen(scene: Scene, size: { readonly width: number; readonly height: number }, paint: Paint): string[] {
  const { status } = scene;
  const width = Math.max(40, size.width);
  const cut = (text: string) => clip(visible(text), width);
  const head = [
    `${paint('bold', clip(status.campaign, Math.max(8, width - 34)))}  ${paint(PHASE_STYLES[status.phase] ?? 'cyan', status.phase)}  ${duration(status.elapsedSeconds)}  ${status.system}`,
    progressLine(scene, width, paint),
    bestLine(scene, width, paint),
    ...attention(scene).map((line) => paint('red', cut(`! ${line}`))),
    paint('dim', cut(`  ${status.headline}`)),
  ];
  const counts = cut(`  ${countsText(scene)}`);
  const footer = status.phase === 'ended' ? '' : paint('dim', cut('Ctrl-C leaves this view; the campaign goes on.'));
  const room = size.height - head.length - 4;
  const running = runningTable(scene, width, Math.max(1, room));
  const body = running.length === 0 ? [] : ['', paint('dim', running[0] ?? ''), ...running.slice(1)];
  return [...head, ...body, '', counts, footer].slice(0, Math.max(4, size.height));
}

const PHASE_STYLES: Readonly<Record<string, 'green' | 'yellow' | 'red' | 'cyan'>> = {
  running: 'green',
  paused: 'yellow',
  draining: 'yellow',
  stopping: 'red',
  cancelling: 'red',
};

/** `[███████░░░] 12/40 trials  30 %  ETA 3 h`; without a limit there is no bar to fill. */
export function progressLine({ status, rows }: Pick<Scene, 'status' | 'rows'>, width: number, paint: Paint): string {
  const share = budgetShare(status);
  const eta = secondsLeft(status, rows);
  const ended = endedTrials(status.counts);
  const words = [
    status.budget.trials === undefined ? `${ended} trials` : `${ended}/${status.budget.trials} trials`,
    share === undefined ? undefined : percent(share),
    eta === undefined ? undefined : `ETA ${age(eta)}`,
  ]
    .filter((word) => word !== undefined)
    .join('  ');
  if (share === undefined) return words;
  const cells = Math.min(50, width - words.length - 4);
  if (cells < 10) return clip(words, width);
  const full = Math.round(share * cells);
  return `${paint('green', '█'.repeat(full))}${paint('dim', '░'.repeat(cells - full))}  ${words}`;
}

function bestLine({ status, rows }: Scene, width: number, paint: Paint): string {
  const objective = status.objectives[0];
  const value = status.best?.values[0];
  if (objective === undefined || status.best === undefined || value === undefined) return paint('dim', 'no result yet');
  const text = clip(`best ${measured(value)} ${objective.metric} in trial ${status.best.number}${valueMarks(status.best)}`, width);
  const line = sparkline(rows, objective.direction, Math.max(0, Math.min(24, width - displayWidth(text) - 2)));
  const left = width - displayWidth(text) - line.length - 5;
  const params = left > 16 ? `  ${trialSummary(status.best.params, left)}` : '';
  return `${paint('yellow', paint('bold', text))}${line === '' ? '' : `  ${paint('yellow', line)}`}${paint('dim', params)}`;
}

const BARS = '▁▂▃▄▅▆▇█';

/** Best so far over the finished trials, in `cells` characters, worst left. */
export function sparkline(rows: readonly TrialRow[], direction: 'maximize' | 'minimize', cells: number): string {
  const best: number[] = [];
  for (const row of rows) {
    const value = row === undefined ? undefined : rankedValue(row);
    if (value === undefined) continue;
    const last = best.at(-1);
    best.push(last === undefined || isBetter(value, last, direction) ? value : last);
  }
  if (best.length < 2 || cells < 2) return '';
  const shown = Array.from({ length: Math.min(cells, best.length) }, (_, cell, count = Math.min(cells, best.length)) => {
    return best[Math.round((cell / (count - 1)) * (best.length - 1))] as number;
  });
  const [first, last] = [shown[0] as number, shown.at(-1) as number];
  return shown.map((value) => BARS[first === last ? 0 : Math.round(((value - first) / (last - first)) * (BARS.length - 1))]).join('');
}

function attention({ status, system, rows }: Scene): string[] {
  return [
    ...(system?.login.kind === 'needs_login'
      ? [`${system.name} needs a login: run holdfast login ${system.name}. ${system.login.message}`]
      : []),
    ...(system?.breaker.open ? [`${system.name} stopped after repeated failures: ${system.breaker.evidence.join('; ')}`] : []),
    ...status.problems,
    ...failureProblems(rows.filter((row) => row !== undefined)).slice(0, 2),
  ].slice(0, 4);
}

function countsText({ status, live, system }: Scene): string {
  const { counts } = status;
  return [
    `completed ${counts.completed}`,
    counts.pruned > 0 ? `pruned ${counts.pruned}` : undefined,
    counts.failed > 0 ? `failed ${counts.failed}` : undefined,
    counts.cancelled > 0 ? `cancelled ${counts.cancelled}` : undefined,
    `running ${live.length}`,
    status.inFlight.length > live.length ? `waiting ${status.inFlight.length - live.length}` : undefined,
    system?.utilisation === undefined ? undefined : `slots busy ${percent(system.utilisation)}`,
    status.sinceImprovement > 0 ? `${status.sinceImprovement} since the last improvement` : undefined,
  ]
    .filter((part) => part !== undefined)
    .join('  ');
}

/** Head and rows of what runs now, the longest running first; at most `most` lines. */
export function runningTable({ live, rows, status }: Scene, width: number, most: number): string[] {
  if (live.length === 0) return [];
  const metric = status.objectives[0]?.metric ?? 'value';
  const sorted = [...live].sort((a, b) => b.run_seconds - a.run_seconds);
  const shown = sorted.length > most - 1 ? sorted.slice(0, Math.max(1, most - 2)) : sorted;
  const cells = shown.map((trial) => {
    const number = trialNumber(trial.trial);
    const row = rows[number - 1];
    return [
      String(number),
      trial.attempt > 1 ? `#${trial.attempt}` : '',
      trial.step === null ? '–' : short(trial.step),
      trial.value === null ? '–' : measured(trial.value),
      age(trial.run_seconds),
      `${trial.pilot.replace(`${status.campaign}.`, '')}:${trial.slot}`,
      row === undefined ? '' : trialSummary(row.params, 60),
    ];
  });
  const lines = columns([['trial', '', 'epoch', metric, 'for', 'slot', 'parameters'], ...cells]).map((line) => clip(line, width));
  const left = sorted.length - shown.length;
  return left > 0 ? [...lines, `… and ${left} more`] : lines;
}

/** How far a campaign had come when a trial ended. */
export interface Progress {
  readonly ended: number;
  readonly best?: { readonly number: number; readonly value: number };
}

/** Progress after one more ended trial. */
export function advance(
  before: Progress,
  row: TrialRow,
  direction: 'maximize' | 'minimize',
  constraints?: readonly MetricConstraint[],
): Progress {
  const value = rankedValue(row, constraints);
  const isBest = value !== undefined && (before.best === undefined || isBetter(value, before.best.value, direction));
  return {
    ended: before.ended + 1,
    ...(isBest ? { best: { number: row.number, value } } : before.best === undefined ? {} : { best: before.best }),
  };
}

/** One line for an ended trial, for logs and pipes: `06:12:03Z trial 13 completed score 0.9012 · best 0.9722 in trial 9 · 12/40`. */
export function eventLine(
  row: TrialRow,
  progress: Progress,
  status: Pick<CampaignStatus, 'objectives' | 'budget' | 'metricConstraints'>,
): string {
  const metric = status.objectives[0]?.metric ?? 'value';
  const at = row.finishedAt === undefined ? '' : `${new Date(row.finishedAt).toISOString().slice(11, 19)}Z `;
  const value = row.values?.[0];
  const broken = brokenMark(row, status.metricConstraints);
  const end = row.failure === undefined || row.state === 'completed' ? '' : ` (${endWords(row.state, row.failure)})`;
  return `${at}trial ${row.number} ${row.state}${value === undefined ? '' : ` ${metric} ${measured(value)}${valueMarks(row)}`}${broken === undefined ? '' : ` ${broken}`}${end}${progressText(progress, status)}`;
}

/** ` · best 0.9722 in trial 9 · 12/40`. */
export function progressText({ best, ended }: Progress, { budget }: Pick<CampaignStatus, 'budget'>): string {
  return `${best === undefined ? '' : ` · best ${measured(best.value)} in trial ${best.number}`} · ${ended}${budget.trials === undefined ? '' : `/${budget.trials}`}`;
}
