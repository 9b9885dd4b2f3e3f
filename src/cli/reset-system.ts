import { resetBreakerSignal } from '../../workflows/messages.ts';
import { systemWorkflowId } from '../domain/ids.ts';
import { askSystem } from './ask-campaign.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';

/**
 * `holdfast systems reset NAME`: closes the circuit breaker of a system after its cause was mended, so that pilots are submitted again. Tells what had
 * opened it. Does nothing when it is closed.
 */
export function resetSystem(system: string, options: CommonOptions, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    const status = await askSystem(client, system);
    if (status === undefined) {
      throw new CliError(
        'failed',
        'HF-NO-SYSTEM',
        `system ${system} is not at work: no campaign uses it, so nothing is stopped. See \`holdfast ls\` and \`holdfast systems list\`.`,
      );
    }
    const { open, evidence } = status.breaker;
    if (open) await client.workflow.getHandle(systemWorkflowId(system)).signal(resetBreakerSignal);
    const text = open
      ? [`${system}: submission goes on. It had stopped because of:`, ...evidence.map((line) => `  ${line}`)].join('\n')
      : `${system}: its circuit breaker is closed; nothing was done.`;
    print(io, options, { system, wasOpen: open, evidence }, text);
    return 'ok';
  });
}
