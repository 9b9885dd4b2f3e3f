import type { HealthFinding, HealthReport, HealthStatus } from '../domain/health.ts';
import { instant, plain } from './format.ts';

/** The same words as `holdfast doctor`. */
export const HEALTH_WORDS: Readonly<Record<HealthStatus, string>> = { ok: 'OK', warn: 'WARN', fail: 'FAIL', skip: 'SKIP' };

const HEADLINES: Readonly<Record<HealthReport['verdict'], string>> = {
  ok: 'is well',
  warn: 'works, with warnings',
  fail: 'does not work',
};

/** `system globus-compute does not work: endpoint online: endpoint … is offline`. */
export function healthHeadline(report: HealthReport): string {
  const first = report.findings.find(({ status }) => status === report.verdict);
  const why = report.verdict === 'ok' || first === undefined ? '' : `: ${first.title}: ${first.found}`;
  return `system ${report.system} ${HEADLINES[report.verdict]}${why}`;
}

/** A health check's current details in Markdown: verdict, what is wrong and what mends it, what has changed, all findings. */
export function healthDetails(report: HealthReport): string {
  const wrong = report.findings.filter(({ status }) => status === 'fail' || status === 'warn');
  return [
    `## ${plain(healthHeadline(report))}`,
    `Checked ${instant(report.checkedAt)}.`,
    ...(wrong.length === 0 ? [] : [`### Needs attention\n\n${wrong.map((finding) => `- ${attention(finding)}`).join('\n')}`]),
    `### Events\n\n${report.events.length === 0 ? '- none' : [...report.events].reverse().slice(0, 20).map(eventLine).join('\n')}`,
    `### Checks\n\n${report.findings.map((finding) => `- **${HEALTH_WORDS[finding.status]}** ${place(finding)}: ${plain(finding.found)}`).join('\n')}`,
  ].join('\n\n');
}

function attention(finding: HealthReport['findings'][number]): string {
  const advice = finding.advice === undefined ? '' : ` ${plain(finding.advice)}`;
  return `**${HEALTH_WORDS[finding.status]}** ${place(finding)} since ${instant(finding.since)}: ${plain(finding.found)}${advice}`;
}

function eventLine(event: HealthReport['events'][number]): string {
  const change = event.from === event.to ? '' : ` ${HEALTH_WORDS[event.from]} → ${HEALTH_WORDS[event.to]}`;
  return `- ${instant(event.at)} ${plain(event.title)}${change}: ${plain(event.text)}`;
}

function place({ title, about }: Pick<HealthFinding, 'title' | 'about'>): string {
  return about === undefined ? plain(title) : `${plain(title)} (${plain(about)})`;
}
