import { ApplicationFailure } from '@temporalio/activity';
import type { CampaignSpec } from '../src/domain/campaign.ts';
import type { Suggestion, TrialRow } from '../src/domain/trial.ts';
import { placeProposals } from '../src/llm/compete.ts';
import { llmOptions } from '../src/llm/options.ts';
import type { LlmEvent, LlmState } from '../src/llm/proposal.ts';
import { proposeWithLlm } from '../src/llm/propose.ts';
import { samplerEntry } from '../src/search/registry.ts';
import type { SamplerState, SuggestResult } from '../src/search/sampler.ts';
import { regretTolerance } from '../src/search/stop-rules.ts';
import { withWarmStart } from '../src/search/warm-start.ts';
import type { ActivityDeps } from './deps.ts';
import { withHeartbeat } from './heartbeat.ts';
import { type SearchThread, SearchThreadLost } from './search-thread.ts';
import type { TableCache } from './table-cache.ts';

export interface SuggestQuestion {
  readonly campaign: string;
  readonly chain: string;
  readonly tableVersion: number;
  /** Points needed now. */
  readonly count: number;
  /** Points of use at all: samplers that ignore results may give that many. */
  readonly most: number;
  readonly parallelism: number;
  readonly budgetTrials?: number;
  readonly state?: SuggestState;
  /** The language model is thinking already: these points are the sampler's alone. */
  readonly withoutModel?: boolean;
}

/** What the campaign carries for its proposers: small JSON. */
export interface SuggestState extends Readonly<Record<string, unknown>> {
  readonly sampler?: SamplerState;
  readonly llm?: LlmState;
  /** What the model leaves to gain, in the objective's unit; only with `stop.regret_bound`. The stop rules read it. */
  readonly regret?: number;
}

export interface SuggestAnswer {
  readonly suggestions: readonly Suggestion[];
  readonly state?: SuggestState;
  readonly exhausted: boolean;
  readonly notices: readonly { readonly topic: string; readonly text?: string }[];
}

/**
 * The next points of a campaign's search. The table is read with the campaign's own queries, so the input stays small. A language model, where
 * the campaign has one, proposes candidates that compete under the sampler's own acquisition or, by the bandit, run as they are; without an answer the sampler
 * goes on alone.
 */
export function createSuggest(deps: ActivityDeps, tables: TableCache, thread: SearchThread) {
  return function suggest(question: SuggestQuestion): Promise<SuggestAnswer> {
    return withHeartbeat(async (_say, signal) => {
      const { spec, rows } = await tables.read(question.campaign, question.chain, question.tableVersion);
      const regret = await regretLeft(spec, rows, question.chain);
      const shown = regret === undefined ? {} : { regret: regret.bound };
      // Enough is known: no further points, and the notice (an empty one) wakes the campaign to its stop rules, which see the same bound.
      if (regret?.isEnough === true)
        return { suggestions: [], exhausted: false, state: { ...question.state, ...shown }, notices: [{ topic: 'regret_bound' }] };
      const proposal = await propose(spec, rows, question, signal);
      const entry = samplerEntry(spec.sampler.type);
      const { taken, candidates } = placeProposals(entry, proposal.suggestions, question.count, spec.llm && llmOptions(spec.llm).share);
      const ahead = entry.ignoresResults && spec.llm === undefined ? question.most : question.count;
      const result = await sample(spec, rows, question, ahead - taken.length, taken, candidates);
      const state = { ...(result.state ? { sampler: result.state } : {}), ...(proposal.state ? { llm: proposal.state } : {}), ...shown };
      return { suggestions: [...taken, ...result.suggestions], exhausted: result.exhausted, state, notices: proposal.notices };
    });
  };

  async function regretLeft(spec: CampaignSpec, rows: readonly TrialRow[], chain: string) {
    const tolerance = regretTolerance(spec.stop);
    if (tolerance === undefined) return undefined;
    const { space, objectives, seed, metricConstraints, warmStart } = spec;
    const request = { space, objectives, seed, ...(metricConstraints === undefined ? {} : { metricConstraints }) };
    const question = { kind: 'regret' as const, request, ...(warmStart === undefined ? {} : { warmStart }) };
    const found = await thread.regret(question, chain, rows);
    return found === undefined ? undefined : { bound: found.bound, isEnough: found.bound <= tolerance };
  }

  async function propose(spec: CampaignSpec, rows: readonly TrialRow[], question: SuggestQuestion, signal: AbortSignal) {
    if (spec.llm === undefined || question.withoutModel) return { suggestions: [], state: question.state?.llm, notices: [] };
    const { suggestions, events, state } = await proposeWithLlm(
      {
        llm: spec.llm,
        space: spec.space,
        objectives: spec.objectives,
        trials: withWarmStart(spec, rows),
        count: question.count,
        seed: spec.seed,
        allowDuplicates: spec.allowDuplicates,
        ...(spec.description === undefined ? {} : { description: spec.description }),
        ...(spec.metricConstraints === undefined ? {} : { metricConstraints: spec.metricConstraints }),
        ...(question.state?.llm === undefined ? {} : { state: question.state.llm }),
      },
      { env: deps.env, signal },
    );
    deps.logger.info({ campaign: question.campaign, events }, 'the language model was asked');
    return { suggestions, state, notices: [noticeOf(events)] };
  }

  async function sample(
    spec: CampaignSpec,
    rows: readonly TrialRow[],
    question: SuggestQuestion,
    count: number,
    taken: readonly Suggestion[],
    candidates: readonly Suggestion[],
  ): Promise<SuggestResult> {
    if (count <= 0) return { suggestions: [], exhausted: false, ...(question.state?.sampler ? { state: question.state.sampler } : {}) };
    try {
      const request = {
        space: spec.space,
        objectives: spec.objectives,
        count,
        seed: spec.seed,
        parallelism: question.parallelism,
        options: candidates.length === 0 ? spec.sampler.options : { ...spec.sampler.options, candidates },
        allowDuplicates: spec.allowDuplicates,
        ...(spec.metricConstraints === undefined ? {} : { metricConstraints: spec.metricConstraints }),
        ...(question.state?.sampler === undefined ? {} : { state: question.state.sampler }),
        ...(question.budgetTrials === undefined ? {} : { budgetTrials: question.budgetTrials + (spec.warmStart?.length ?? 0) }),
        ...(spec.pruner === undefined ? {} : { maxSteps: spec.pruner.maxSteps }),
        ...(spec.sampler.initialPoints === undefined ? {} : { initialPoints: spec.sampler.initialPoints }),
      };
      const warm = spec.warmStart === undefined ? {} : { warmStart: spec.warmStart };
      return await thread.suggest({ kind: 'suggest', sampler: spec.sampler.type, request, taken, ...warm }, question.chain, rows);
    } catch (error) {
      if (error instanceof SearchThreadLost) throw error;
      // Pure functions: the same question would fail again.
      throw ApplicationFailure.nonRetryable(error instanceof Error ? error.message : String(error), 'SamplerFailed');
    }
  }
}

/** What a person should know of the model's last turn; without a text the notice is cleared. */
function noticeOf(events: readonly LlmEvent[]): { topic: string; text?: string } {
  const fallback = events.find((event) => event.kind === 'fell_back');
  return fallback === undefined
    ? { topic: 'llm' }
    : { topic: 'llm', text: `Language model: ${fallback.message} The sampler goes on alone.` };
}
