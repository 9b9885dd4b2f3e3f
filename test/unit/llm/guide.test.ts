import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { admitText } from '../../../src/spec/admit.ts';
import { campaignJsonSchema } from '../../../src/spec/json-schema.ts';

const page = readFileSync('docs/guides/llm.md', 'utf8');
const REST =
  'objective: {metric: a, direction: maximize}\nsearch_space: {x: {type: int, min: 1, max: 3}}\ntraining: {command: train}\nbudget: {trials: 5}\n';

interface Block {
  readonly properties: Readonly<Record<string, unknown>>;
}
const block = (campaignJsonSchema() as { properties: { llm: Block } }).properties.llm.properties;

describe('docs/guides/llm.md', () => {
  it.each([...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] as string))(
    'shows a block that is admitted: %s',
    (example) => {
      expect(admitText(example + REST, 'example.yaml', { env: {} }).llm?.model).toBeTruthy();
    },
  );

  it.each(Object.keys(block))('explains the key %s', (key) => {
    expect(page).toMatch(new RegExp(`\`[^\`]*\\b${key}\\b`));
  });

  it('gives the defaults that an admitted block has', () => {
    const options = admitText(`llm: {base_url: "http://localhost/v1", model: m}\n${REST}`, 'c.yaml', { env: {} }).llm?.options ?? {};
    const { temperature, maxTokens, timeout, share, initialSamples, explorationFactor, exploitationRamp, minExploration, noise, budget } =
      options;
    expect(page).toContain(`| ${temperature}, ${maxTokens}, ${timeout} s |`);
    expect(page).toContain(`| ${[share, initialSamples, explorationFactor, exploitationRamp, minExploration, noise].join(', ')} |`);
    expect(page).toContain(`| ${Object.values(budget as object).join(', ')} |`);
  });
});
