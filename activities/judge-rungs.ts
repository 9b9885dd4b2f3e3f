import { ApplicationFailure } from '@temporalio/activity';
import type { Promotion, PruneVerdict } from '../src/search/pruning/question.ts';
import type { SamplerState } from '../src/search/sampler.ts';
import { withHeartbeat } from './heartbeat.ts';
import { type SearchThread, SearchThreadLost } from './search-thread.ts';
import type { TableCache } from './table-cache.ts';

export interface RungQuestion {
  readonly campaign: string;
  readonly chain: string;
  readonly tableVersion: number;
  /** Trial number → highest rung at which it was let through. */
  readonly decided: Readonly<Record<number, number>>;
  /** Trials in all, as the user has it now; and how much of its time or node-hours is used. */
  readonly budgetTrials?: number;
  readonly budgetShare?: number;
  /** What the campaign carries for its sampler: a pruner that shares its model begins with that. */
  readonly samplerState?: SamplerState;
}

export interface RungAnswer {
  readonly verdicts: readonly PruneVerdict[];
  readonly promotions: readonly Promotion[];
}

/** Asks the campaign's pruner which running trials end and which paused ones go on. The campaign keeps the answer: it is asked once. */
export function createJudgeRungs(tables: TableCache, thread: SearchThread) {
  return function judgeRungs(question: RungQuestion): Promise<RungAnswer> {
    return withHeartbeat(async () => {
      const { spec, rows } = await tables.read(question.campaign, question.chain, question.tableVersion);
      const objective = spec.objectives[0];
      if (spec.pruner === undefined || objective === undefined) return { verdicts: [], promotions: [] };
      const request = {
        pruner: spec.pruner,
        objective,
        space: spec.space,
        decided: question.decided,
        seed: spec.seed,
        ...(spec.sampler.initialPoints === undefined ? {} : { initialPoints: spec.sampler.initialPoints }),
        ...(question.budgetTrials === undefined ? {} : { budgetTrials: question.budgetTrials }),
        ...(question.budgetShare === undefined ? {} : { budgetShare: question.budgetShare }),
        ...(question.samplerState === undefined ? {} : { samplerState: question.samplerState }),
      };
      try {
        return await thread.judge({ kind: 'judge', request }, question.chain, rows);
      } catch (error) {
        if (error instanceof SearchThreadLost) throw error;
        throw ApplicationFailure.nonRetryable(error instanceof Error ? error.message : String(error), 'PrunerFailed');
      }
    });
  };
}
