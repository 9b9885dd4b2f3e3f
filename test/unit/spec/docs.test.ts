import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { admitText } from '../../../src/spec/admit.ts';
import { campaignJsonSchema } from '../../../src/spec/json-schema.ts';

const page = readFileSync('docs/campaign-file.md', 'utf8');

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly anyOf?: readonly Node[];
}

/** Keys of the first two levels. */
function keysOf(node: Node, depth: number): string[] {
  const inner = [node, ...(node.anyOf ?? [])].flatMap((each) => Object.entries(each.properties ?? {}));
  return inner.flatMap(([key, below]) => [key, ...(depth > 1 ? keysOf(below, depth - 1) : [])]);
}

describe('docs/campaign-file.md', () => {
  const keys = keysOf(campaignJsonSchema() as Node, 2);
  const ofLlm = new Set(keysOf((campaignJsonSchema() as { properties: { llm: Node } }).properties.llm, 1));

  it.each([...new Set(keys)].filter((key) => !ofLlm.has(key)))('explains the key %s', (key) => {
    expect(page).toMatch(new RegExp(`\\b${key}\\b`));
  });

  it('shows a smallest file that is admitted', () => {
    const text = /```yaml\n(# yaml-language-server[\s\S]*?)```/.exec(page)?.[1] ?? '';
    expect(admitText(text, 'smallest.yaml', { env: {} }).space.parameters).toHaveLength(2);
  });
});
