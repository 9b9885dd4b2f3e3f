import type { CampaignSpec, LlmConfig } from '../domain/campaign.ts';
import { ask } from '../llm/chat.ts';
import { keySource } from '../llm/credentials.ts';
import { llmOptions, targetsOf } from '../llm/options.ts';
import type { LlmEvent } from '../llm/proposal.ts';
import { proposeWithLlm } from '../llm/propose.ts';
import { oneLine } from '../llm/words.ts';
import { admitCampaign } from '../spec/admit.ts';
import { DriverError } from '../systems/driver.ts';
import type { Environment } from '../systems/globus/environment.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';

interface Row {
  readonly check: 'login' | 'sentence' | 'suggestion';
  readonly verdict: 'pass' | 'fail';
  readonly found: string;
}

/**
 * `holdfast diag inference -c FILE`: the language model of a campaign, from the login to a point of its own space (row V12). Keys are used and never shown.
 * Exit `needsLogin` when there is none.
 */
export async function diagInference(options: CommonOptions & { readonly config: string }, io: CliIo): Promise<Exit> {
  const spec = await admitCampaign(options.config, { env: io.env });
  if (spec.llm === undefined) throw new CliError('usage', 'HF-USAGE', `${options.config} has no llm block. See docs/guides/llm.md.`);
  const rows: Row[] = [];
  let needsLogin = false;
  for (const [check, run] of CHECKS) {
    try {
      rows.push({ check, verdict: 'pass', found: await run(spec, spec.llm, io.env) });
    } catch (error) {
      if (!(error instanceof DriverError)) throw error;
      needsLogin = error.class === 'needs_login';
      rows.push({ check, verdict: 'fail', found: error.message });
      // Each check needs what the one before it has.
      break;
    }
  }
  const text = rows.map(({ check, verdict, found }) => `${verdict.toUpperCase()} ${check}: ${found}`).join('\n');
  const passed = rows.every(({ verdict }) => verdict === 'pass');
  print(io, options, { passed, verdicts: rows }, text);
  return passed ? 'ok' : needsLogin ? 'needsLogin' : 'failed';
}

type Run = (spec: CampaignSpec, llm: LlmConfig, env: Environment) => Promise<string>;
const CHECKS: readonly (readonly [Row['check'], Run])[] = [
  ['login', login],
  ['sentence', sentence],
  ['suggestion', suggestion],
];

const fails = (failureClass: DriverError['class'], message: string) => new DriverError(failureClass, 'HF-LLM-DIAG', message);

async function login(_: CampaignSpec, llm: LlmConfig, env: Environment): Promise<string> {
  await keySource(llm.apiKey, llmOptions(llm).globus, env).key();
  return llm.apiKey === undefined ? 'the service asks for no key' : `there is a key (llm.api_key: ${llm.apiKey})`;
}

/** The first model alone, without schema and tools: does it answer at all? */
async function sentence(_: CampaignSpec, llm: LlmConfig, env: Environment): Promise<string> {
  const options = llmOptions(llm);
  const target = targetsOf(llm)[0];
  if (target === undefined) throw fails('refused', 'No model is named.');
  const before = performance.now();
  const end = await ask(
    {
      target,
      messages: [{ role: 'user', content: 'Say in one sentence what a learning rate is.' }],
      schema: {},
      abilities: { format: 'text', tools: false },
      options,
    },
    {
      keys: keySource(target.apiKey, options.globus, env),
      meter: { take: () => true, add: () => undefined },
      tell: () => undefined,
      env,
    },
  );
  if (end.kind === 'failed') throw fails(end.class === 'needs_login' ? 'needs_login' : 'refused', `${target.model}: ${end.message}`);
  const said = oneLine(end.text, 200);
  if (said === '') throw fails('refused', `${target.model} answered without a word.`);
  return `${target.model} in ${((performance.now() - before) / 1000).toFixed(1)} s: ${said}`;
}

/** One point, asked as a campaign asks: with fallbacks, repairs and the space's own limits. */
async function suggestion(spec: CampaignSpec, llm: LlmConfig, env: Environment): Promise<string> {
  const eager = { ...llm.options, share: 'schedule', initialSamples: 0, explorationFactor: 1, minExploration: 1 };
  const { suggestions, events } = await proposeWithLlm(
    { llm: { ...llm, options: eager }, space: spec.space, objectives: spec.objectives, trials: [], count: 1, seed: spec.seed },
    { env },
  );
  const point = suggestions[0];
  if (point !== undefined) return `${JSON.stringify(point.params)}${point.note === undefined ? '' : ` (${point.note})`}`;
  const last = events.findLast((event): event is Extract<LlmEvent, { kind: 'fell_back' }> => event.kind === 'fell_back');
  throw fails(last?.reason === 'needs_login' ? 'needs_login' : 'refused', last?.message ?? 'No point came.');
}
