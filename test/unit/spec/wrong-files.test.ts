import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { PRUNERS } from '../../../src/search/pruning/registry.ts';
import { SAMPLERS } from '../../../src/search/registry.ts';
import { admitCampaign, admitText } from '../../../src/spec/admit.ts';
import { BadSpec } from '../../../src/spec/bad-spec.ts';
import { problemText } from '../../../src/spec/problem.ts';
import { GOOD_FILE, WRONG_FILES, type WrongFile } from './wrong-files.ts';

const options = { env: {}, now: new Date('2026-11-23T00:00:00Z') };

function textOf({ title, file, change = [] }: WrongFile): string {
  return change.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`case "${title}": ${from} does not stand in the good file`);
    return text.replace(from, () => to);
  }, file ?? GOOD_FILE);
}

async function refusal(admitted: () => unknown): Promise<BadSpec> {
  try {
    await admitted();
  } catch (error) {
    if (error instanceof BadSpec) return error;
    throw error;
  }
  throw new Error('was admitted');
}

describe('a wrong campaign file', () => {
  it('is only told about what was changed: the file before the change is admitted', () => {
    expect(admitText(GOOD_FILE, 'c.yaml', options).budget.trials).toBe(10);
  });

  it.each(WRONG_FILES)('$title: its owner is told where and what to do', async (wrong) => {
    const refused = await refusal(() => admitText(textOf(wrong), 'c.yaml', options));
    const expected = wrong.told.map((line) =>
      line.replace('<samplers>', Object.keys(SAMPLERS).join(', ')).replace('<pruners>', Object.keys(PRUNERS).join(', ')),
    );
    expect(refused.problems.map(problemText)).toEqual(expected);
  });

  it('gives one line for one problem, and a list under the name of the file for several', async () => {
    const one = await refusal(() => admitText(GOOD_FILE.replace('trials: 10', 'trials: 0'), 'c.yaml', options));
    expect(one.message).toBe('budget.trials: is 0, but must be above 0 (c.yaml:14:11).');
    const two = await refusal(() =>
      admitText(GOOD_FILE.replace('trials: 10', 'trials: 0').replace('min: 1,', 'min: 9,'), 'c.yaml', options),
    );
    expect(two.message).toBe(
      'c.yaml has 2 problems:\n- search_space.layers: min 9 is above max 8 (c.yaml:9:3). Swap them?\n- budget.trials: is 0, but must be above 0 (c.yaml:14:11).',
    );
  });

  it('that is not there names the nearest one', async () => {
    const refused = await refusal(() => admitCampaign('config/campaigns/digit.yaml', options));
    expect(refused.message).toMatch(
      /^config\/campaigns\/digit\.yaml is not there \(looked in .+\)\. Did you mean "config\/campaigns\/digits\.yaml"\?$/,
    );
  });

  it('that is a folder or far too large is refused before it is read as YAML', async () => {
    expect((await refusal(() => admitCampaign('config/campaigns', options))).message).toBe(
      'config/campaigns is a folder. Name the file in it.',
    );
    const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-spec-'));
    writeFileSync(path.join(folder, 'big.yaml'), `name: ${'x'.repeat(1024 * 1024)}\n`);
    expect((await refusal(() => admitCampaign('big.yaml', { ...options, folder }))).message).toContain('more than any configuration');
  });

  it.each([
    ['nothing', undefined, 'The input is missing'],
    ['a number', 3, 'The input is a number'],
    ['a list', ['a'], 'The input is a list'],
    ['null', null, 'The input is null'],
  ])('given as %s is refused with what to give', async (_, source, told) => {
    expect((await refusal(() => admitCampaign(source, options))).message).toContain(told);
  });

  it('given inline has the same problems, without lines', async () => {
    const source = {
      objective: { metric: 'a', direction: 'up' },
      search_space: { lr: { type: 'float', min: 0.1, max: 0.01 } },
      training: { command: ['train'] },
      budget: { trials: 10 },
      max_iteratons: 5,
    };
    const refused = await refusal(() => admitCampaign(source, options));
    expect(refused.problems.map((problem) => problem.path).sort()).toEqual(['max_iteratons', 'objective.direction', 'search_space.lr']);
    expect(refused.message).toContain('search_space.lr: min 0.1 is above max 0.01. Swap them?');
  });

  it('with an alias or a merge key is told the line of the anchor or of the alias, never a wrong one', async () => {
    const text = `x-common: &range {type: float, min: 3, max: 1}\n${GOOD_FILE.replace('layers: {type: int, min: 1, max: 8}', 'layers: *range')}`;
    const refused = await refusal(() => admitText(text, 'c.yaml', options));
    expect(refused.problems.map((problem) => [problem.path, problem.line])).toEqual([
      ['x-common', 1],
      ['search_space.layers', 10],
    ]);
  });
});
