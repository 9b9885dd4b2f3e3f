import type { KnownResult } from '../src/domain/campaign.ts';
import type { Space } from '../src/domain/space.ts';
import type { Suggestion, TrialRow } from '../src/domain/trial.ts';
import { withTaken } from '../src/llm/compete.ts';
import { type RegretBound, type RegretQuestion, regretBound } from '../src/search/gp/regret-bound.ts';
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
  | { readonly kind: 'judge'; readonly request: Omit<PruneQuestion, 'trials'> }
  | { readonly kind: 'regret'; readonly request: Omit<RegretQuestion, 'trials'>; readonly warmStart?: readonly KnownResult[] };

export type QuestionOf<K extends SearchQuestion['kind']> = Extract<SearchQuestion, { kind: K }>;

export interface Judgement {
  readonly verdicts: readonly PruneVerdict[];
  readonly promotions: readonly Promotion[];
}

/** The pure functions of src/search behind each kind of question. Throws what they throw. */
export const ANSWERS = {
  suggest({ sampler, request, warmStart, taken }: QuestionOf<'suggest'>, rows: readonly TrialRow[]): SuggestResult {
    const trials = withTaken(warm(request.space, warmStart, rows), taken);
    return samplerEntry(sampler).sampler({ ...request, trials });
  },
  judge({ request }: QuestionOf<'judge'>, rows: readonly TrialRow[]): Judgement {
    const pruner = prunerEntry(request.pruner.type);
    const question = { ...request, trials: rows };
    return { verdicts: pruner.judge(question), promotions: pruner.promote?.(question) ?? [] };
  },
  regret({ request, warmStart }: QuestionOf<'regret'>, rows: readonly TrialRow[]): RegretBound | undefined {
    return regretBound({ ...request, trials: warm(request.space, warmStart, rows) });
  },
};

function warm(space: Space, warmStart: readonly KnownResult[] | undefined, rows: readonly TrialRow[]): readonly TrialRow[] {
  return withWarmStart({ space, ...(warmStart === undefined ? {} : { warmStart }) }, rows);
}

export type SearchAnswer = SuggestResult | Judgement | RegretBound | undefined;

/** Answers a question of any kind. */
export function answerTo(question: SearchQuestion, rows: readonly TrialRow[]): SearchAnswer {
  switch (question.kind) {
    case 'suggest':
      return ANSWERS.suggest(question, rows);
    case 'judge':
      return ANSWERS.judge(question, rows);
    case 'regret':
      return ANSWERS.regret(question, rows);
  }
}
