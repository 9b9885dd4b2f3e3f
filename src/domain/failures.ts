/**
 * Every way in which something can end badly, and what is done about it. One row per class; `judge` in trial-policy.ts reads it.
 *
 * budget: which of the three error budgets an occurrence is charged to (they never mix):
 *   transport      unlimited, timed, backing off: we could not ask
 *   infrastructure per trial 5: the machine failed, the trial is innocent
 *   trial          per trial 1: the training itself failed and may be tried again
 *   none           a final answer: no retry (also: ended on purpose)
 *   free           not charged at all: the trial goes back with its checkpoint
 *
 * isOfPoint: another point of the search space may well do better (src/domain/first-failures.ts).
 */
export type ErrorBudget = 'transport' | 'infrastructure' | 'trial' | 'none' | 'free';

export const FAILURE_TABLE = {
  // The prototype's classes (rows E1–E8).
  environment_error: {
    budget: 'none',
    severity: 'critical',
    advice:
      'A Python module or program is missing on the system. Mend the environment (worker_init, venv); while the campaign runs, `holdfast retry` then starts its failed trials again.',
  },
  data_access_error: {
    budget: 'none',
    severity: 'critical',
    advice: 'The data set could not be read. Check data.dir and its permissions on a compute node.',
  },
  filesystem_error: {
    budget: 'infrastructure',
    severity: 'high',
    advice:
      'The file system refused a write (quota, disk full, permission). Free space; while the campaign runs, `holdfast retry` then starts its failed trials again.',
  },
  resource_error: {
    budget: 'trial',
    severity: 'high',
    isOfPoint: true,
    advice: 'Out of memory or no such device. Smaller batches or fewer trials per device help.',
  },
  configuration_error: {
    budget: 'none',
    severity: 'medium',
    advice: 'The training refuses its parameters. Compare the search space with what the training accepts.',
  },
  training_error: { budget: 'trial', severity: 'medium', advice: 'The training failed. Read its stderr.' },
  network_error: { budget: 'infrastructure', severity: 'high', advice: 'A connection failed inside the training.' },
  unknown_error: { budget: 'trial', severity: 'medium', advice: 'The training ended without saying why. Read its stderr.' },
  // What a training's end itself says.
  command_not_found: {
    budget: 'none',
    severity: 'critical',
    advice: 'The training command does not exist or is not executable on the system.',
  },
  exit_code: { budget: 'trial', severity: 'medium', advice: 'The training command ended with a non-zero exit code. Read its stderr.' },
  killed: {
    budget: 'infrastructure',
    severity: 'high',
    advice: 'The training was killed by a signal that we did not send (out of memory?).',
  },
  timeout: {
    budget: 'none',
    severity: 'medium',
    isOfPoint: true,
    advice: 'The trial reached its wall-clock limit (limits.trial_seconds).',
  },
  hang: { budget: 'trial', severity: 'medium', advice: 'The training stopped reporting for longer than the hang limit and was killed.' },
  not_finite: { budget: 'none', severity: 'medium', isOfPoint: true, advice: 'The objective is NaN or infinite: the training diverged.' },
  no_metric: {
    budget: 'none',
    severity: 'medium',
    advice: 'No objective was found: write results.json or metrics.jsonl with the metric named in the campaign.',
  },
  bad_result: { budget: 'trial', severity: 'medium', advice: 'results.json cannot be read (truncated or not JSON).' },
  too_large: { budget: 'none', severity: 'medium', advice: 'The result is larger than allowed.' },
  // What the machine did (row E11).
  auth_error: { budget: 'transport', severity: 'high', advice: 'The login has ended: run `holdfast login <system>`.' },
  submission_unknown: {
    budget: 'transport',
    severity: 'high',
    advice: 'It is not known whether the submission arrived; it is looked up before anything is sent again.',
  },
  endpoint_offline: { budget: 'transport', severity: 'high', advice: 'The endpoint is offline. Start it again.' },
  walltime: { budget: 'free', severity: 'low', advice: 'The batch job reached its walltime; the trial goes on in the next one.' },
  returned: { budget: 'free', severity: 'low', advice: 'The pilot gave the trial back before its end; the trial goes on in the next one.' },
  node_failure: { budget: 'infrastructure', severity: 'high', advice: 'The node or the agent died.' },
  lost: { budget: 'infrastructure', severity: 'high', advice: 'The attempt vanished without a result.' },
  storage: { budget: 'infrastructure', severity: 'high', advice: 'No space or quota left on the system.' },
  cancelled: { budget: 'none', severity: 'low', advice: 'Cancelled on request.' },
} as const satisfies Record<
  string,
  { budget: ErrorBudget; severity: 'low' | 'medium' | 'high' | 'critical'; isOfPoint?: true; advice: string }
>;

export type FailureClass = keyof typeof FAILURE_TABLE;

/** Whether a text, of a done record say, names a class of the table. */
export function isFailureClass(text: string): text is FailureClass {
  return Object.hasOwn(FAILURE_TABLE, text);
}
