import type { Failure, TrialState } from '../domain/trial.ts';

/** Why an attempt or a trial ended before its time. The campaign itself cancels what early stopping ends: to a person that is no cancellation. */
export function endWords(state: TrialState, { class: kind, message }: Pick<Failure, 'class' | 'message'>): string {
  return `${isEarlyStop(state, kind) ? 'early stopping' : kind}: ${message}`;
}

/** Whether a trial was ended by early stopping. */
export function isEarlyStop(state: TrialState, kind: Failure['class']): boolean {
  return state === 'pruned' && kind === 'cancelled';
}
