import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startCli } from '../../support/cli.ts';
import { type LlmEndpoint, type Scripted, startLlmEndpoint } from '../../support/llm-endpoint.ts';

const SECRET = 'sk-very-secret-token';
let folder: string;
let endpoint: LlmEndpoint | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-inference-'));
});
afterEach(async () => {
  await endpoint?.close();
  endpoint = undefined;
  rmSync(folder, { recursive: true, force: true });
});

async function diagnose(script: readonly Scripted[], words: string[] = [], env: Record<string, string> = { KEY: SECRET }) {
  endpoint = await startLlmEndpoint(script);
  const file = join(folder, 'c.yaml');
  const llm = `{base_url: "${endpoint.baseUrl}", model: org/model-1, api_key: "env:KEY", temperature: 0.2}`;
  writeFileSync(
    file,
    `version: 1\nname: c\nobjective: {metric: m, direction: maximize}\nsearch_space: {lr: {type: float, min: 1e-5, max: 0.1, log: true}}\ntraining: {command: "true"}\nbudget: {trials: 3}\nllm: ${llm}\n`,
  );
  return startCli(['diag', 'inference', '-c', file, ...words], { env }).end();
}

const SENTENCE = 'A learning rate says how large a step is.';
const POINT = '{"points": [{"lr": 0.003, "reasoning": "the middle"}]}';

describe('holdfast diag inference', () => {
  it('goes from the login over a sentence to a point of the campaign’s own space, and shows no key', async () => {
    const { exit, out, err } = await diagnose([SENTENCE, POINT]);
    expect(out).toMatch(
      /^PASS login: there is a key \(llm\.api_key: env:KEY\)\nPASS sentence: org\/model-1 in \d+\.\d s: A learning rate says/,
    );
    expect(out).toMatch(/^PASS suggestion: \{"lr":0\.003\} \(the middle/m);
    expect(exit, err).toBe(0);
    expect(out + err).not.toContain(SECRET);
    expect(out + err).not.toContain(SECRET.slice(0, 6));
    expect(endpoint?.requests.map(({ authorization }) => authorization)).toEqual([`Bearer ${SECRET}`, `Bearer ${SECRET}`]);
    expect(endpoint?.requests[0]?.body).toMatchObject({ model: 'org/model-1', temperature: 0.2 });
  });

  it('shows a model’s words without what would move the cursor of a terminal', async () => {
    const { out } = await diagnose(['red: \u001b[31mA learning rate.\u001b]0;title\u0007', POINT]);
    expect(out).toContain('red: [31mA learning rate. ]0;title');
    expect(out).not.toContain('\u001b');
  });

  it('without a key ends with exit 3 and asks nobody', async () => {
    const { exit, out } = await diagnose([SENTENCE], ['--json'], {});
    expect(exit).toBe(3);
    expect(JSON.parse(out)).toMatchObject({
      passed: false,
      verdicts: [{ check: 'login', verdict: 'fail', found: expect.stringContaining('KEY') }],
    });
    expect(endpoint?.requests).toHaveLength(0);
  });

  it.each<[string, readonly Scripted[], number, RegExp]>([
    ['that refuses the key', [{ status: 401, error: 'bad key' }], 3, /FAIL sentence: org\/model-1: .*Check llm\.api_key/],
    ['that is down', [{ status: 404, error: 'no such model' }], 1, /FAIL sentence: org\/model-1:/],
    ['whose points are none', [SENTENCE, 'I would rather not.'], 1, /PASS sentence.*\nFAIL suggestion:/],
  ])('a service %s fails at the check that shows it', async (_, script, status, message) => {
    const { exit, out } = await diagnose(script);
    expect(out).toMatch(message);
    expect(exit).toBe(status);
  });

  it('needs a campaign file, and other kinds an endpoint', async () => {
    expect(await startCli(['diag', 'inference'], {}).end()).toMatchObject({ exit: 2, err: expect.stringContaining('-c FILE') });
    expect(await startCli(['diag', 'torch'], {}).end()).toMatchObject({ exit: 2, err: expect.stringContaining('-e UUID') });
    expect(await startCli(['diag', 'conectivity'], {}).end()).toMatchObject({
      exit: 2,
      err: expect.stringContaining('Did you mean "connectivity"?'),
    });
  });
});
