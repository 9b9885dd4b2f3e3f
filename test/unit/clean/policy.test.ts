import { describe, expect, it } from 'vitest';
import { type CampaignFate, judgeLaunches } from '../../../src/clean/policy.ts';
import type { FoundLaunch } from '../../../src/clean/store.ts';

const DAY = 86_400_000;
const NOW = Date.parse('2026-11-30T12:00:00Z');
const ended = (days: number, best?: number): CampaignFate => ({
  kind: 'ended',
  endedAt: NOW - days * DAY,
  ...(best === undefined ? {} : { best }),
});

function launch(campaign: string, change: Partial<FoundLaunch> = {}): FoundLaunch {
  return {
    folder: `/base/${campaign}`,
    campaign,
    launch: campaign,
    system: 'local',
    owner: { namespace: 'default', workflow_id: campaign, epoch: 1 },
    objectives: [{ metric: 'score', direction: 'maximize' }],
    trials: 3,
    bytes: 1000,
    files: 10,
    beatAgeSeconds: null,
    closedAt: null,
    hasRepository: false,
    isInUse: false,
    summary: null,
    ...change,
  };
}

const RULES = { olderThanSeconds: 30 * 86_400, keepBest: 0 };

function judge(found: FoundLaunch, fate: CampaignFate, rules = RULES) {
  const [verdict] = judgeLaunches([found], () => fate, rules, NOW);
  return verdict as NonNullable<typeof verdict>;
}

describe('a launch folder', () => {
  it('goes when its campaign ended long enough ago', () => {
    expect(judge(launch('old'), ended(31))).toMatchObject({ isRemoved: true, reason: 'ended 31 d ago' });
  });

  it.each([
    ['of a running campaign, however old its files are', launch('live', { closedAt: 1 }), { kind: 'running' }, /running/],
    [
      'in which an agent still beats, though Temporal says that it ended',
      launch('beat', { beatAgeSeconds: 20 }),
      ended(60),
      /agent is at work/,
    ],
    ['with a git repository in it', launch('repo', { hasRepository: true }), ended(60), /git repository/],
    ['that holds the working folder', launch('cwd', { isInUse: true }), ended(60), /working folder/],
    ['of another namespace', launch('far'), { kind: 'foreign', namespace: 'team' }, /namespace team/],
    ['that ended lately', launch('new'), ended(29), /ended only 29 d ago/],
    ['of which nothing says that it ended', launch('lost'), { kind: 'unknown' }, /nothing says/],
    [
      'with a report of a running campaign and nothing else',
      launch('cut', { summary: { status: 'running', campaign: 'cut', ended_at: '2026-01-01T00:00:00Z' } }),
      { kind: 'unknown' },
      /nothing says/,
    ],
    [
      'with a final report of another campaign',
      launch('mixed', { summary: { status: 'completed', campaign: 'other', ended_at: '2026-01-01T00:00:00Z' } }),
      { kind: 'unknown' },
      /nothing says/,
    ],
  ] as const)('stays: one %s', (_name, found, fate, reason) => {
    expect(judge(found, fate as CampaignFate)).toMatchObject({ isRemoved: false, reason: expect.stringMatching(reason) });
  });

  it('that Temporal has forgotten goes by its own final report, or by the mark of its closing', () => {
    const reported = launch('reported', { summary: { status: 'stopped', campaign: 'reported', ended_at: '2026-09-01T00:00:00Z' } });
    expect(judge(reported, { kind: 'unknown' })).toMatchObject({ isRemoved: true, endedAt: Date.parse('2026-09-01T00:00:00Z') });
    expect(judge(launch('closed', { closedAt: (NOW - 40 * DAY) / 1000 }), { kind: 'unknown' })).toMatchObject({ isRemoved: true });
  });
});

describe('the best campaigns', () => {
  const summaries = (value: number): FoundLaunch['summary'] => ({ best: { values: { score: value } } });

  it('stay, counted over each objective apart, in its direction', () => {
    const launches = [
      launch('a', { summary: summaries(0.7) }),
      launch('b', { summary: summaries(0.9) }),
      launch('c', { summary: summaries(0.8) }),
      launch('d', { objectives: [{ metric: 'score', direction: 'minimize' }], summary: summaries(0.9) }),
      launch('e', { objectives: [{ metric: 'score', direction: 'minimize' }], summary: summaries(0.1) }),
    ];
    const verdicts = judgeLaunches(launches, () => ended(90), { ...RULES, keepBest: 1 }, NOW);
    expect(verdicts.filter(({ isRemoved }) => !isRemoved).map(({ launch: { campaign }, reason }) => `${campaign}: ${reason}`)).toEqual([
      'b: number 1 of the best by maximize score (0.9000)',
      'e: number 1 of the best by minimize score (0.1000)',
    ]);
  });

  it('are ranked by what Temporal keeps where the folder has no report, and campaigns without a result have no rank', () => {
    const fates: Record<string, CampaignFate> = { a: ended(90, 0.5), b: ended(90, 0.6), c: ended(90) };
    const verdicts = judgeLaunches(
      [launch('a'), launch('b'), launch('c')],
      ({ campaign }) => fates[campaign] as CampaignFate,
      { ...RULES, keepBest: 1 },
      NOW,
    );
    expect(verdicts.map(({ isRemoved }) => isRemoved)).toEqual([true, false, true]);
  });

  it('that are running take no place of the best that ended', () => {
    const launches = [launch('a', { summary: summaries(0.99) }), launch('b', { summary: summaries(0.5) })];
    const verdicts = judgeLaunches(
      launches,
      ({ campaign }) => (campaign === 'a' ? { kind: 'running' } : ended(90)),
      { ...RULES, keepBest: 1 },
      NOW,
    );
    expect(verdicts.map(({ isRemoved }) => isRemoved)).toEqual([false, false]);
  });
});
