import { describe, expect, it } from 'vitest';
import { FAILURE_TABLE } from '../../../src/domain/failures.ts';
import { campaignDetails } from '../../../src/view/campaign.ts';
import { convergenceChart, curveChart } from '../../../src/view/chart.ts';
import { secondsLeft } from '../../../src/view/progress.ts';
import { systemDetails } from '../../../src/view/system.ts';
import { trialDetails } from '../../../src/view/trial.ts';
import { processorMilliseconds } from '../../support/processor-time.ts';
import { ACCURACY, completed, failed, START, statusOf } from './rows.ts';
import { xmlProblems } from './xml-problems.ts';

const rows = Array.from({ length: 12 }, (_, index) => (index === 4 ? failed(5) : completed(index + 1, 0.3 + ((index * 7) % 12) / 100)));

describe('a campaign’s current details', () => {
  it('begin with trials, best, in flight, failed and time left', () => {
    const running = completed(13, 0, { state: 'running' });
    const { values: _, ...row } = running;
    const all = [...rows, row, { ...row, number: 14, state: 'queued' as const }];
    const text = campaignDetails(statusOf(all), all);
    expect(text.split('\n')[0]).toBe('## 12 of 40 trials · best 0.4100 in trial 6 · 2 in flight · 1 failed · ETA 28 min');
    expect(text).toContain('Waiting for a running trial to end.');
  });

  it('tell a failure in words and what to do about it', () => {
    const text = campaignDetails(statusOf(rows), rows);
    expect(text).toContain('1 trial failed with not_finite, last trial 5: val_loss is NaN at epoch 3.');
    expect(text).toContain(FAILURE_TABLE.not_finite.advice);
  });

  it('hold the five best as a fenced table in the order asked for', () => {
    const text = campaignDetails(statusOf(rows), rows, { order: ['hidden', 'learning_rate'] });
    const table = text.split('```')[1]?.trim().split('\n') ?? [];
    expect(table[0]?.split(/\s+/)).toEqual(['trial', 'val_accuracy', 'hidden', 'learning_rate']);
    expect(table).toHaveLength(6);
    expect(table[1]).toMatch(/^ {4}6 {8}0\.4100/);
  });

  it('shrink long parameter names to initials that are explained, and fit the half page', () => {
    const wide = rows.map((row) => ({
      ...row,
      params: { ...row.params, weight_decay_factor: 1e-4, learning_rate_warmup: 5, number_of_layers: 3 },
    }));
    const text = campaignDetails(statusOf(wide), wide);
    const table = text.split('```')[1]?.trim().split('\n') ?? [];
    expect(Math.max(...table.map((line) => line.length))).toBeLessThanOrEqual(76);
    expect(table[0]).toContain('wdf');
    expect(text).toContain('wdf = weight_decay_factor');
  });

  it('stand before the first trial has ended', () => {
    const text = campaignDetails(statusOf([], { phase: 'preparing', headline: 'Staging the training code.' }), []);
    expect(text).toContain('0 of 40 trials · no result yet');
    expect(text).not.toContain('<svg');
    expect(text).not.toContain('undefined');
  });

  it('stay below 16 kB and a fifth of a second at 10,000 trials that improve every time', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => completed(index + 1, index / 10_000));
    const status = statusOf(many);
    campaignDetails(status, many);
    let text = '';
    const spent = processorMilliseconds(() => {
      text = campaignDetails(status, many);
    });
    expect(text.length).toBeGreaterThan(0);
    expect(text.length).toBeLessThan(16_000);
    // Measured 8 ms on a busy core; the bound is for a machine 25 times slower.
    expect(spent).toBeLessThan(200);
  });

  it('cannot be broken out of by a failure message', () => {
    const bad = [failed(1, { failure: { class: 'exit_code', message: '</svg><script>alert(1)</script> ```' } })];
    const text = campaignDetails(statusOf(bad), bad);
    expect(text).not.toContain('<script>');
  });
});

describe('charts', () => {
  const many = Array.from({ length: 10_000 }, (_, index) =>
    index % 9 === 0 ? { number: index + 1 } : { number: index + 1, value: Math.sin(index) + index / 5000 },
  );

  it('are one line of well-formed SVG of at most 8 kB without blank lines', () => {
    for (const trials of [many, many.slice(0, 2), many.slice(1, 2)]) {
      const svg = convergenceChart(trials, ACCURACY) ?? '';
      expect(svg.length).toBeLessThanOrEqual(8192);
      expect(svg).not.toContain('\n');
      expect(xmlProblems(svg)).toEqual([]);
    }
  });

  it('draw best so far as a line that never falls', () => {
    const svg = convergenceChart(many, ACCURACY) ?? '';
    const stair = /<path d="(M[^"]*H\d+)" stroke="#e8710a"/.exec(svg)?.[1] ?? '';
    const heights = [...stair.matchAll(/V(\d+)/g)].map((match) => Number(match[1]));
    expect(heights.length).toBeGreaterThan(3);
    expect(heights).toEqual([...heights].sort((a, b) => b - a));
  });

  it('a diverged training does not flatten the others', () => {
    const losses = Array.from({ length: 30 }, (_, index) => ({ number: index + 1, value: index === 7 ? 1e12 : 0.3 + (index % 10) / 100 }));
    const svg = convergenceChart(losses, { metric: 'val_loss', direction: 'minimize', reduce: 'best' }) ?? '';
    expect(svg).not.toContain('e11');
    expect(svg).not.toContain('e12');
  });

  it('there is none without a value, and no NaN in any', () => {
    expect(convergenceChart([{ number: 1 }, { number: 2, value: Number.NaN }], ACCURACY)).toBeUndefined();
    expect(curveChart([[1, 0.5]], 'x')).toBeUndefined();
    expect(
      curveChart(
        [
          [1, 0.5],
          [2, Number.NaN],
          [3, 0.5],
        ],
        'a<b',
      ),
    ).not.toMatch(/NaN|a<b/);
  });
});

describe('time left', () => {
  it('follows the pace of the last ends and the nearest limit', () => {
    // 12 ends, a minute from one to the next, the first after 50 seconds of training.
    expect(secondsLeft(statusOf(rows), rows)).toBeCloseTo((28 * (11 * 60 + 50)) / 12, 6);
    expect(secondsLeft(statusOf(rows, { budget: { trials: 40, wallSeconds: 1500 } }), rows)).toBe(300);
    expect(secondsLeft(statusOf(rows, { phase: 'paused' }), rows)).toBeUndefined();
    expect(secondsLeft(statusOf(rows.slice(0, 1)), rows.slice(0, 1))).toBeUndefined();
  });

  it('is not nothing when the first trials end together', () => {
    const together = Array.from({ length: 12 }, (_, index) => completed(index + 1, 0.5, { finishedAt: START + 60_000, runSeconds: 60 }));
    expect(secondsLeft(statusOf(together, { budget: { trials: 36 } }), together)).toBe(120);
  });

  it('of many at once two rounds are looked at, and hours in a queue before the first start are not', () => {
    const DAY = 86_400_000;
    const rounds = Array.from({ length: 600 }, (_, index) =>
      completed(index + 1, 0.5, {
        finishedAt: START + DAY + (Math.floor(index / 100) + 1) * 600_000 + (index % 100) * 100,
        runSeconds: 600,
      }),
    );
    const scene = (count: number) => {
      const shown = rounds.slice(0, count);
      return secondsLeft(
        statusOf(shown, { budget: { trials: 1200 }, inFlight: Array.from({ length: 100 }, (_, index) => 601 + index) }),
        shown,
      );
    };
    for (const ended of [100, 200, 600]) expect(scene(ended)).toBeGreaterThan(0.45 * ((1200 - ended) / 100) * 600);
    for (const ended of [100, 200, 600]) expect(scene(ended)).toBeLessThan(1.1 * ((1200 - ended) / 100) * 600);
  });
});

describe('a trial’s current details', () => {
  const trial = {
    campaign: 'digits-1',
    number: 7,
    params: { learning_rate: 0.01, hidden: 64 },
    origin: 'llm',
    note: 'wider *nets*',
    state: 'failed' as const,
    attempt: 2,
    attempts: [
      {
        attempt: 1,
        offeredAt: START,
        startedAt: START + 5000,
        pilot: 'agent-1',
        slot: 3,
        end: 'failed',
        failure: { class: 'exit_code' as const, message: 'exit code 3' },
      },
      { attempt: 2, offeredAt: START + 60_000 },
    ],
    headline: 'Waiting for a slot.',
  };

  it('show parameters, attempts with their places, and what to do', () => {
    const text = trialDetails(trial, [ACCURACY]);
    expect(text).toContain('## trial 7 · failed');
    expect(text).toMatch(/learning_rate\s+0\.01/);
    expect(text).toContain('**attempt 1** on agent-1, slot 3: exit\\_code'.replace('\\_', '_'));
    expect(text).toContain('2026-11-23 06:00 UTC after 5 s of waiting');
    expect(text).toContain('> wider \\*nets\\*');
  });

  it('show the learning curve and where the logs lie once it has ended', () => {
    const text = trialDetails(
      {
        ...trial,
        state: 'completed',
        outcome: {
          values: [0.97],
          curve: [
            [1, 0.5],
            [2, 0.9],
            [3, 0.97],
          ],
          runSeconds: 12,
          directory: 'trials/job_trial-0007/attempt-2',
          host: 'n1',
        },
      },
      [ACCURACY],
      { launchDirectory: '/scratch/digits' },
    );
    expect(text).toContain('trial 7 · completed · val_accuracy 0.9700');
    expect(text).toContain('/scratch/digits/trials/job_trial-0007/attempt-2/stdout.log');
    expect(text).toContain('<svg');
  });
});

describe('a system’s current details', () => {
  const system = {
    name: 'aurora',
    kind: 'pbs',
    headline: 'One pilot waits in the queue.',
    login: { kind: 'needs_login' as const, since: START, message: 'The master connection is gone.' },
    breaker: { open: true, evidence: ['3 pilots ended within a minute'] },
    slots: 24,
    queued: 5,
    offered: 2,
    running: 18,
    campaigns: [{ campaign: 'digits-1', queued: 5, offered: 2, running: 18 }],
    pilots: [
      { pilot: 'p1', state: 'running', nativeId: '8412201', slots: 24, finished: 40, campaign: 'digits-1' },
      {
        pilot: 'p0',
        state: 'ended',
        slots: 24,
        finished: 3,
        campaign: 'digits-1',
        end: { kind: 'killed', message: 'killed by the operator' },
      },
    ],
    utilisation: 0.93,
    notices: ['maintenance Mon 06:00'],
  };

  it('say what a person must do first', () => {
    const text = systemDetails(system);
    expect(text.indexOf('Run `holdfast login aurora`')).toBeGreaterThan(0);
    expect(text.indexOf('Login needed')).toBeLessThan(text.indexOf('### Pilots'));
    expect(text).toContain('resetBreaker');
  });

  it('count slots, list live pilots, explain those that ended badly', () => {
    const text = systemDetails(system);
    expect(text).toContain('## 18 of 24 slots busy · 2 offered · 5 queued');
    expect(text).toMatch(/p1 +running +24 +40 +8412201/);
    expect(text).toContain('p0: killed by the operator');
    expect(text).toContain('93 %');
    expect(xmlProblems(/<svg.*<\/svg>/.exec(text)?.[0] ?? 'none')).toEqual([]);
  });
});
