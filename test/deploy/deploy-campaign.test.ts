import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admitCampaign } from '../../src/spec/admit.ts';
import { localCarrier } from '../../src/ssh/local-carrier.ts';
import { makeRemoteShell } from '../../src/ssh/shell.ts';
import { describeQuery } from '../../workflows/messages.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { createScriptedDriver } from '../support/scripted-driver.ts';

let top: string;
beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), 'hf-deploy-campaign-'));
  const upstream = join(top, 'upstream');
  mkdirSync(upstream);
  writeFileSync(join(upstream, 'train.py'), 'print(1)\n');
  const git = (...words: string[]) =>
    execFileSync('git', ['-C', upstream, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...words], { stdio: 'ignore' });
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-q', '-m', 'one');
});
afterAll(() => rmSync(top, { recursive: true, force: true, maxRetries: 5 }));

/** A plan's file; `files` must be in the repository. */
function planFile(name: string, files: string, repository = `{url: "file://${top}/upstream", branch: main}`): string {
  const file = join(top, name);
  writeFileSync(file, `version: 1\nbase: ${top}/base-${name}\nrepository: ${repository}\nverify: {files: [${files}]}\n`);
  return file;
}

const campaign = (deploy: string) => ({
  version: 1,
  name: 'deployed',
  system: 'local',
  objective: { metric: 'x', direction: 'maximize' },
  search_space: { x: { type: 'float', min: 0, max: 1 } },
  training: { command: ['true'] },
  deploy,
  budget: { trials: 2 },
});

describe('the plan that a campaign file names', () => {
  it('travels with the campaign, so that the history says what was deployed', async () => {
    const spec = await admitCampaign(campaign(planFile('travels.yaml', 'train.py')));
    expect(spec.deploy).toMatchObject({ base: `${top}/base-travels.yaml`, repository: { branch: 'main', path: 'code' } });
  });

  it.each([
    ['that is not there', () => 'no-such-plan.yaml', `deploy: no-such-plan.yaml is not there (looked in ${process.cwd()})`],
    ['with a mistake', () => planFile('bad.yaml', 'train.py', '{ulr: x}'), 'ulr'],
    ['without an address', () => planFile('no-url.yaml', 'train.py', '{branch: main}'), 'names no repository.url'],
    [
      'with a token',
      () => planFile('token.yaml', 'a', '{url: "https://me:secret@example.org/x.git", branch: main}'),
      'token in repository.url',
    ],
  ])('%s is refused before anything is done', async (_, file, words) => {
    const refusal = await admitCampaign(campaign(file())).catch((error: Error) => error.message);
    expect(refusal).toContain(words);
    expect(refusal).not.toContain('secret');
  });
});

describe('a campaign with a deploy plan', () => {
  let engine: Engine;
  const system = createScriptedDriver('local');
  beforeAll(async () => {
    engine = await startEngine();
    const deployTarget = () => ({ shell: makeRemoteShell(localCarrier()), setup: [], python: 'python3', pollSeconds: 0.2 });
    await engine.startWorker({ local: { ...system.driver, deployTarget } });
  });
  afterAll(() => engine?.close());

  it('ends before anything is submitted when a step fails, with its words', async () => {
    const failure = await engine.run(campaign(planFile('fails.yaml', 'train.py, data.py')), 'fails-1').catch((error) => error);
    expect(failure.cause.message).toMatch(/verification of local .*code\/data\.py is not there\. Nothing was submitted/);
    expect(system.seen).toMatchObject({ pilotStarts: 0, sends: 0 });
  });

  it('starts once everything is as the plan says, and records the commit', async () => {
    const result = await engine.run(campaign(planFile('works.yaml', 'train.py')), 'works-1');
    expect(result.counts.completed).toBe(2);
    expect(existsSync(join(top, 'base-works.yaml', 'code', 'train.py'))).toBe(true);
    const commit = execFileSync('git', ['-C', join(top, 'upstream'), 'rev-parse', 'HEAD'], { encoding: 'utf8' }).trim();
    const described = await engine.client.workflow.getHandle('works-1').query(describeQuery);
    expect(described.provenance).toMatchObject({ deployed_commit: commit });
  });
});
