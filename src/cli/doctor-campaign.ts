import type { CampaignSpec } from '../domain/campaign.ts';
import { keySource } from '../llm/credentials.ts';
import { llmOptions } from '../llm/options.ts';
import { admitCampaign } from '../spec/admit.ts';
import { BadSpec } from '../spec/bad-spec.ts';
import { problemText } from '../spec/problem.ts';
import { DriverError } from '../systems/driver.ts';
import { readBundle } from '../systems/spool/bundle.ts';
import { plural } from '../view/format.ts';
import type { Finding } from './doctor.ts';
import { idleModel } from './idle-model.ts';
import type { CliIo } from './io.ts';
import { lostScript } from './lost-script.ts';
import { describeSpec } from './start-commands.ts';
import { unreadParameters } from './unread-parameters.ts';

/** A campaign file as doctor sees it: every mistake a line of its own, its training code, its language model's key. Asks nobody. */
export async function checkCampaignFile(
  file: string,
  env: CliIo['env'],
): Promise<{ readonly findings: readonly Finding[]; readonly system?: string }> {
  const title = { id: 'campaign', title: 'Campaign file' };
  try {
    const spec = await admitCampaign(file, { env: { ...process.env, ...env } });
    const findings: Finding[] = [{ ...title, status: 'ok', found: `${file}: ${describeSpec(spec)}` }];
    if (spec.training.bundle !== undefined) findings.push(await code(spec.training.bundle));
    const warnings = [...(await lostScript(spec)), ...(await unreadParameters(spec))];
    findings.push(...warnings.map((found): Finding => ({ id: 'training-command', title: 'Training command', status: 'warn', found })));
    findings.push(...idleModel(spec).map((found): Finding => ({ id: 'llm-share', title: 'Language model', status: 'warn', found })));
    if (spec.llm !== undefined) findings.push(await key(spec.llm, env));
    return { findings, system: spec.system.name };
  } catch (error) {
    if (!(error instanceof BadSpec)) throw error;
    return { findings: error.problems.map((problem) => ({ ...title, status: 'fail', found: problemText(problem) })) };
  }
}

async function code(folder: string): Promise<Finding> {
  const title = { id: 'training-code', title: 'Training code' };
  return readBundle(folder).then(
    ({ files }) => ({ ...title, status: 'ok', found: `${plural(files.length, 'file')} of ${folder}` }),
    (error: unknown) => failed(title, error),
  );
}

async function key(llm: NonNullable<CampaignSpec['llm']>, env: CliIo['env']): Promise<Finding> {
  const title = { id: 'llm-key', title: 'Language model' };
  const source = keySource(llm.apiKey, llmOptions(llm).globus, { ...process.env, ...env });
  return source.key().then(
    () => ({ ...title, status: 'ok', found: `${llm.model}; its key is there (holdfast diag inference asks it)` }),
    (error: unknown) => failed(title, error),
  );
}

function failed(title: Pick<Finding, 'id' | 'title'>, error: unknown): Finding {
  if (error instanceof DriverError) return { ...title, status: 'fail', found: error.message };
  throw error;
}
