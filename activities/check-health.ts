import { ApplicationFailure, Context } from '@temporalio/activity';
import type { HealthFinding, HealthReport } from '../src/domain/health.ts';
import { readWatched } from '../src/temporal/health-schedule.ts';
import type { ActivityDeps } from './deps.ts';
import { asActivityFailure, driverOf } from './failures.ts';
import { withHeartbeat } from './heartbeat.ts';

export interface HealthCheckInput {
  readonly system: string;
  /** One more endpoint to watch than those in use. */
  readonly endpoint?: string;
}

export interface HealthCheck {
  readonly findings: readonly HealthFinding[];
  /** The newest finished check: the start of a run does not bring it reliably when checks follow each other within seconds. */
  readonly before?: HealthReport;
  readonly hasSearchAttributes: boolean;
}

/** One scheduled check of a system by the worker that holds it. What is wrong with the system is a finding, never a failure of the activity. */
export function createCheckHealth(deps: ActivityDeps) {
  return function checkHealth(input: HealthCheckInput): Promise<HealthCheck> {
    return withHeartbeat(() =>
      asActivityFailure(async () => {
        const driver = driverOf(deps, input.system);
        if (driver.health === undefined)
          throw ApplicationFailure.nonRetryable(
            `System ${input.system} is of kind ${driver.kind}; its own look shows all there is to see. Run \`holdfast health ${input.system} --off\`.`,
            'Refused',
          );
        const findings = await driver.health(input.endpoint);
        const before = (await readWatched(Context.current().client, input.system))?.report;
        return { findings, ...(before === undefined ? {} : { before }), hasSearchAttributes: deps.hasSearchAttributes };
      }),
    );
  };
}
