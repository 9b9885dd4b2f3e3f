import { readFileSync } from 'node:fs';
import { describe, expect, inject, it } from 'vitest';

describe('the workflow bundle', () => {
  const code = readFileSync(inject('bundleFile'), 'utf8');
  const map = JSON.parse(
    Buffer.from(code.split('sourceMappingURL=data:application/json;charset=utf-8;base64,')[1] ?? '', 'base64').toString(),
  ) as { sources: string[] };
  const script = code.slice(0, code.indexOf('//# sourceMappingURL='));

  it('is smaller than 2 MB', () => {
    expect(script.length).toBeGreaterThan(100_000);
    expect(script.length).toBeLessThan(2_000_000);
  });

  it('holds no schema library, no YAML, no SSH and no activity: each cached workflow would pay for them', () => {
    const forbidden =
      /node_modules\/(zod|yaml|ssh2|pino|openai|commander|@observablehq|d3)\/|\/activities\/|\/src\/(spec|systems|ssh|llm|report|cli|temporal)\//;
    expect(map.sources.filter((source) => forbidden.test(source))).toEqual([]);
  });

  it('takes from our sources only workflows, domain, search and view', () => {
    const own = map.sources.filter((source) => /\/(workflows|src)\//.test(source) && !source.includes('node_modules'));
    expect(own.length).toBeGreaterThan(15);
    expect(own.filter((source) => !/\/(workflows|src\/(domain|search|view))\//.test(source))).toEqual([]);
  });
});
