import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { campaignJsonSchema, llmServiceJsonSchema, profileJsonSchema } from '../../../src/spec/json-schema.ts';

/** `UPDATE=1 npx vitest run test/unit/spec/json-schema.test.ts` writes the files anew. */
describe.each([
  ['config/campaign.schema.json', campaignJsonSchema],
  ['config/profile.schema.json', profileJsonSchema],
  ['config/llm-service.schema.json', llmServiceJsonSchema],
])('%s', (file, schema) => {
  it('is what the schema in src/spec gives', () => {
    const made = `${JSON.stringify(schema(), null, 2)}\n`;
    if (process.env.UPDATE) writeFileSync(file, made);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(made));
  });

  it('describes the keys that people use most', () => {
    const text = JSON.stringify(schema());
    expect(text).toContain('description');
    expect(text).toContain('"additionalProperties":false');
  });
});

it.each([
  ['config/campaigns/digits.yaml', '../campaign.schema.json'],
  ['config/systems/aurora.yaml', '../profile.schema.json'],
  ['config/llm/alcf.yaml', '../llm-service.schema.json'],
  ['config/systems/local.yaml', '../profile.schema.json'],
])('%s names its schema for editors', (file, schema) => {
  const named = /# yaml-language-server: \$schema=(\S+)/.exec(readFileSync(file, 'utf8'))?.[1];
  expect(named).toBe(schema);
  expect(() => readFileSync(path.join(path.dirname(file), schema))).not.toThrow();
});
