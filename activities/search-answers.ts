import type { KnownResult } from '../src/domain/campaign.ts';
import type { Space } from '../src/domain/space.ts';
import type { Suggestion, TrialRow } from '../src/domain/trial.ts';
import { withTaken } from '../src/llm/compete.ts';
import type { Promotion, PruneQuestion, PruneVerdict } from '../src/search/pruning/question.ts';
import { prunerEntry } from '../src/search/pruning/registry.ts';
import { samplerEntry } from '../src/search/registry.ts';
import type { SuggestRequest, SuggestResult } from '../src/search/sampler.ts';
import { withWarmStart } from '../src/search/warm-start.ts';

/** A question to samplers or pruners without the table, which the thread keeps. */
export type SearchQuestion =
  | {
      readonly kind: 'suggest';
      readonly sampler: string;
      readonly request: Omit<SuggestRequest, 'trials'>;
      readonly warmStart?: readonly KnownResult[];
      /** Points of a language model that are taken in this very batch. */
      readonly taken: readonly Suggestion[];
    }
  | { readonly kind: 'judge'; readonly request: Omit<PruneQuestion, 'trials'> };

export interface Judgement {
  readonly verdicts: readonly PruneVerdict[];
  readonly promotions: readonly Promotion[];
}

/** The pure functions of src/search behind each kind of question. Throws what they throw. */
export const ANSWERS = {
  suggest({ sampler, request, warmStart, taken }: Extract<SearchQuestion, { kind: 'suggest' }>, rows: readonly TrialRow[]): SuggestResult {
    const space: Space = request.space;
    const trials = withTaken(withWarmStart({ space, ...(warmStart === undefined ? {} : { warmStart }) }, rows), taken);
    return samplerEntry(sampler).sampler({ ...request, trials });
  },
  judge({ request }: Extract<SearchQuestion, { kind: 'judge' }>, rows: readonly TrialRow[]): Judgement {
    const pruner = prunerEntry(request.pruner.type);
    const question = { ...request, trials: rows };
    return { verdicts: pruner.judge(question), promotions: pruner.promote?.(question) ?? [] };
  },
};

/** Answers a question of either kind. */
export function answerTo(question: SearchQuestion, rows: readonly TrialRow[]): SuggestResult | Judgement {
  return question.kind === 'suggest' ? ANSWERS.suggest(question, rows) : ANSWERS.judge(question, rows);
}
