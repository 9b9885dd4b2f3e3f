import { plural } from './format.ts';

/** After a value that came from generated data: a number that gets copied must carry its mark. */
export const SYNTHETIC_MARK = '(synthetic data)';

/** After the value of a trial that breaks a condition on metrics, told because no trial keeps them. */
export const INFEASIBLE_MARK = '(breaks metric_constraints)';

/** The marks that a value must carry, a space before each, or nothing. */
export function valueMarks(trial: { readonly synthetic?: true | undefined; readonly infeasible?: true | undefined }): string {
  return `${trial.synthetic === true ? ` ${SYNTHETIC_MARK}` : ''}${trial.infeasible === true ? ` ${INFEASIBLE_MARK}` : ''}`;
}

/** One sentence for tables in which trials trained on generated data; undefined when none did. */
export function syntheticNote(trials: readonly { readonly synthetic?: true | undefined }[]): string | undefined {
  const count = trials.filter((trial) => trial?.synthetic === true).length;
  if (count === 0) return undefined;
  const who =
    count === trials.length
      ? `${count === 1 ? 'This trial' : `All ${plural(count, 'trial')}`}`
      : `${count} of these ${trials.length} trials`;
  return `${who} trained on synthetic data: the values say nothing about the real data set.`;
}
