import { barChart } from './chart.ts';
import { columns, instant, percent, plain, plural } from './format.ts';

/** What a system's current details are made from; `SystemStatus` of workflows/messages.ts fits. */
export interface SystemDetailsInput {
  readonly name: string;
  readonly kind: string;
  /** One sentence: what it waits for. */
  readonly headline: string;
  readonly login: { readonly kind: 'ready' } | { readonly kind: 'needs_login'; readonly since: number; readonly message: string };
  readonly breaker: { readonly open: boolean; readonly evidence: readonly string[] };
  readonly slots: number;
  readonly queued: number;
  readonly offered: number;
  readonly running: number;
  readonly campaigns: readonly { readonly campaign: string; readonly queued: number; readonly offered: number; readonly running: number }[];
  readonly pilots: readonly {
    readonly pilot: string;
    readonly state: string;
    readonly nativeId?: string;
    readonly slots: number;
    readonly comment?: string;
    readonly end?: { readonly kind: string; readonly message: string };
    readonly finished: number;
    readonly campaign: string;
  }[];
  readonly utilisation?: number;
  readonly notices: readonly string[];
}

/** A system's current details in Markdown: slots in use, login, breaker, campaigns, pilots, notices. */
export function systemDetails(system: SystemDetailsInput): string {
  const alive = system.pilots.filter((pilot) => pilot.state !== 'ended');
  return [
    `## ${headline(system)}`,
    plain(system.headline),
    ...(system.slots > 0 ? [barChart(system.running / system.slots, `${system.running} of ${plural(system.slots, 'slot')} busy`)] : []),
    ...attention(system),
    `### Campaigns\n\n${system.campaigns.length === 0 ? '- none' : fence(campaignTable(system.campaigns))}`,
    `### Pilots\n\n${alive.length === 0 ? '- none alive' : fence(pilotTable(alive))}`,
    ...endedPilots(system.pilots),
    `### State\n\n${facts(system)}`,
  ].join('\n\n');
}

function facts(system: SystemDetailsInput): string {
  return [
    `- **Login:** ${system.login.kind === 'ready' ? 'ready' : 'needed'}`,
    ...(system.utilisation === undefined
      ? []
      : [`- **Utilisation:** ${percent(system.utilisation)} of the slot time of all pilots seen was training`]),
    ...(system.kind === '' ? [] : [`- **Kind:** ${plain(system.kind)}`]),
    ...system.notices.slice(0, 10).map((notice) => `- ${plain(notice)}`),
  ].join('\n');
}

function headline({ running, slots, offered, queued }: SystemDetailsInput): string {
  if (slots + offered + queued === 0) return 'idle';
  const waiting = [offered > 0 ? `${offered} offered` : '', queued > 0 ? `${queued} queued` : ''].filter((part) => part !== '');
  return [`${running} of ${plural(slots, 'slot')} busy`, ...waiting].join(' · ');
}

function attention(system: SystemDetailsInput): string[] {
  const lines = [
    ...(system.login.kind === 'needs_login'
      ? [`**Login needed** since ${instant(system.login.since)}: ${plain(system.login.message)} Run \`holdfast login ${system.name}\`.`]
      : []),
    ...(system.breaker.open
      ? [
          `**Stopped after repeated failures:** ${system.breaker.evidence.map(plain).join('; ')}. Mend the cause, then run \`holdfast systems reset ${system.name}\` (or send the signal \`resetBreaker\`).`,
        ]
      : []),
  ];
  return lines.length === 0 ? [] : [`### Needs attention\n\n${lines.map((line) => `- ${line}`).join('\n')}`];
}

function campaignTable(campaigns: SystemDetailsInput['campaigns']): string[] {
  return columns([
    ['campaign', 'running', 'offered', 'queued'],
    ...campaigns.slice(0, 20).map((row) => [row.campaign, String(row.running), String(row.offered), String(row.queued)]),
  ]);
}

function pilotTable(pilots: SystemDetailsInput['pilots']): string[] {
  return columns([
    ['pilot', 'state', 'slots', 'done', 'id', 'why'],
    ...pilots
      .slice(0, 20)
      .map((pilot) => [
        pilot.pilot,
        pilot.state,
        String(pilot.slots),
        String(pilot.finished),
        pilot.nativeId ?? '',
        (pilot.comment ?? '').slice(0, 60),
      ]),
  ]);
}

function endedPilots(pilots: SystemDetailsInput['pilots']): string[] {
  const odd = pilots.filter((pilot) => pilot.end !== undefined && pilot.end.kind !== 'normal').slice(-5);
  if (odd.length === 0) return [];
  return [
    `### Pilots that did not end well\n\n${odd.map((pilot) => `- ${plain(pilot.pilot)}: ${plain(pilot.end?.message ?? '')}`).join('\n')}`,
  ];
}

function fence(lines: readonly string[]): string {
  return `\`\`\`\n${lines.join('\n').replaceAll('```', "'''")}\n\`\`\``;
}
