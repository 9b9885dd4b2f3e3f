import {
  ActivityFailure,
  isCancellation,
  setCurrentDetails,
  TimeoutFailure,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { HealthCheck } from '../activities/check-health.ts';
import { type HealthFinding, type HealthReport, nextReport } from '../src/domain/health.ts';
import { ATTRIBUTES } from '../src/domain/search-attributes.ts';
import { healthDetails } from '../src/view/health.ts';
import { healthOn } from './options.ts';

export interface HealthInput {
  readonly system: string;
  /** An endpoint to watch besides those that campaigns use. */
  readonly endpoint?: string;
  /** Seconds in which a worker must take and finish the check; its absence is a finding. */
  readonly patienceSeconds: number;
}

/**
 * One check of a system, started by its Temporal Schedule. The report of the check before is what it is compared with: what has changed since is an
 * event, so the newest run holds all that is to be known.
 */
export async function systemHealth(input: HealthInput): Promise<HealthReport> {
  const known = workflowInfo().lastResult as HealthReport | undefined;
  if (known !== undefined) setCurrentDetails(healthDetails(known));
  const { findings, before, hasSearchAttributes } = await check(input, known);
  const report = nextReport(input.system, before ?? known, findings, Date.now());
  if (hasSearchAttributes) {
    upsertSearchAttributes([
      { key: ATTRIBUTES.system, value: input.system },
      { key: ATTRIBUTES.state, value: report.verdict },
      { key: ATTRIBUTES.error, value: report.findings.find(({ status }) => status === 'fail')?.id ?? null },
    ]);
  }
  setCurrentDetails(healthDetails(report));
  return report;
}

async function check(input: HealthInput, known: HealthReport | undefined): Promise<HealthCheck> {
  const { checkHealth } = healthOn(input.system, input.patienceSeconds);
  const worker = { id: 'worker', title: `worker of ${input.system}` } as const;
  try {
    const seen = await checkHealth({ system: input.system, ...(input.endpoint === undefined ? {} : { endpoint: input.endpoint }) });
    return { ...seen, findings: [{ ...worker, status: 'ok', found: 'it made the check' }, ...seen.findings] };
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    const others = (known?.findings ?? []).filter(({ id }) => id !== worker.id);
    const unasked = others.map(({ since: _, was: __, advice: ___, ...finding }): HealthFinding => {
      return { ...finding, status: 'skip', found: 'not asked: the check was not made' };
    });
    return { findings: [{ ...worker, status: 'fail', ...whyNot(error, input) }, ...unasked], hasSearchAttributes: false };
  }
}

function whyNot({ cause }: ActivityFailure, input: HealthInput): Pick<HealthFinding, 'found' | 'advice'> {
  // Tried until the time was over: the last failure says more than the time.
  const last = cause instanceof TimeoutFailure ? cause.cause : cause;
  if (last !== undefined && !(last instanceof TimeoutFailure)) return { found: last.message };
  return {
    found: `no worker made the check within ${input.patienceSeconds} s`,
    advice: `Run: holdfast worker --systems ${input.system}`,
  };
}
