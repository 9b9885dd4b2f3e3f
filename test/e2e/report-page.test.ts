import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ReportInput } from '../../src/report/input.ts';
import { writeReport } from '../../src/report/write.ts';
import { campaignOf } from '../unit/report/campaign.ts';

const EXECUTABLE = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

let browser: Browser;
let folder: string;

describe.skipIf(EXECUTABLE === undefined)('the report in a browser', () => {
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'holdfast-page-'));
    browser = await chromium.launch({ executablePath: EXECUTABLE as string, args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser.close();
    await rm(folder, { recursive: true });
  });

  /** The page at a width, with the errors of its scripts. */
  async function open(input: ReportInput, width: number) {
    const { html } = await writeReport(path.join(folder, `${input.campaign}-${width}`), input);
    const page = await browser.newPage({ viewport: { width, height: 900 } });
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`file://${html}`);
    return { page, errors, titles: await page.locator('h2').allTextContents() };
  }

  it('the reasons of a language model are read without scrolling sideways, and long words make no tall rows', async () => {
    const words = 'Wide layers gained while dropout cost accuracy everywhere it was above 0.4; a smaller rate may be safer. '.repeat(4);
    const campaign = campaignOf(30);
    const rows = campaign.rows.map((row) =>
      row.number % 4 === 0 ? { ...row, origin: 'llm' as const, note: `${row.number}: ${words}` } : row,
    );
    for (const width of [1200, 420]) {
      const { page, errors, titles } = await open({ ...campaign, rows }, width);
      expect(errors).toEqual([]);
      expect(titles).toContain('What the language model said');
      const section = page.locator('section', { hasText: 'What the language model said' });
      expect(await section.locator('tbody tr').count()).toBe(7);
      const reason = await section.locator('td.words').first().boundingBox();
      expect(reason?.x).toBeLessThan(width * 0.75);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      const heights = await page
        .locator('section', { hasText: 'All trials' })
        .locator('tbody tr')
        .evaluateAll((all) => all.map((row) => row.clientHeight));
      expect(Math.max(...heights)).toBeLessThan(70);
      await page.close();
    }
  });

  it('shows trials that break a condition as rings and in the table, and says how many values stand at the edge', async () => {
    const campaign = campaignOf(30);
    const metricConstraints = [{ metric: 'gb', op: '<=', bound: 40 } as const];
    const rows = campaign.rows.map((row) => ({
      ...row,
      constraintValues: [row.number === 4 ? 50 : 30],
      ...(row.number === 6 ? { values: [-5] } : {}),
    }));
    const { page, errors } = await open({ ...campaign, spec: { ...campaign.spec, metricConstraints }, rows }, 1000);
    expect(errors).toEqual([]);
    const history = page.locator('section', { hasText: 'Optimisation history' });
    expect(await history.locator('.legend').textContent()).toContain('breaks metric_constraints (1)');
    expect(await history.locator('circle[fill="none"], g[fill="none"] circle').count()).toBe(1);
    expect(await history.locator('p').first().textContent()).toMatch(/ [12] trials? worse than [-\d.]+ stands? at the edge\.$/);
    const table = page.locator('section', { hasText: 'All trials' });
    expect(await table.locator('td', { hasText: 'completed, breaks metric_constraints' }).count()).toBe(1);
    await page.close();
  });

  it('of a campaign without a result, why comes first', async () => {
    const campaign = campaignOf(6);
    const failure = { class: 'exit_code' as const, message: 'The training ended with exit code 2: unrecognized arguments: --lrate' };
    const failed = <T extends object>(row: T) => {
      const { values: _, ...rest } = row as T & { values?: unknown };
      return { ...rest, state: 'failed' as const, failure };
    };
    const input = {
      ...campaign,
      status: 'failed',
      rows: campaign.rows.map(failed),
      outcomes: campaign.outcomes?.map(failed),
    } as ReportInput;
    const { page, errors, titles } = await open(input, 900);
    expect(errors).toEqual([]);
    expect(titles[0]).toBe('Failures');
    expect(await page.locator('.number.best').textContent()).toBe('–no val_accuracy');
    // On a phone message and advice are read without scrolling sideways.
    await page.setViewportSize({ width: 390, height: 844 });
    for (const words of await page.locator('.told').first().locator('td').all()) {
      const box = await words.boundingBox();
      expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(390);
    }
    const [content, room] = (await page.evaluate(
      "['scrollWidth', 'clientWidth'].map((width) => document.querySelector('.told')[width])",
    )) as number[];
    expect(content).toBeLessThanOrEqual(room as number);
    await page.close();
  });

  it('of one trial compares it with no other', async () => {
    const { page, errors } = await open(campaignOf(1), 390);
    expect(errors).toEqual([]);
    expect((await page.locator('.number').allTextContents()).join()).not.toContain('better than');
    expect(await page.locator('footer').textContent()).toContain('1 of 1 trial has a valid result.');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    await page.close();
  });
});
