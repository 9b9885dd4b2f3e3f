import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Worker } from '@temporalio/worker';
import { describe, expect, inject, it } from 'vitest';
import { packageRoot } from '../../src/package-root.ts';
import { quietRuntime } from '../support/quiet-runtime.ts';

quietRuntime();

const folder = path.join(packageRoot(), 'test', 'replay', 'histories');
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));

/** Ids of children are made from the campaign's own: replaying needs the real one. */
function workflowIdOf(history: { events: { workflowExecutionStartedEventAttributes?: { workflowId?: string } }[] }): string {
  return history.events[0]?.workflowExecutionStartedEventAttributes?.workflowId ?? 'unknown';
}

describe('golden histories', () => {
  it('there are some of each workflow', () => {
    for (const kind of ['campaign', 'trial', 'system', 'health']) expect(files.some((name) => name.includes(`-${kind}`))).toBe(true);
  });

  it.each(files)('%s still replays', async (name) => {
    const history = JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
    await Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundleFile') } }, history, workflowIdOf(history));
  });

  it('a history that another program made is noticed', async () => {
    const name = files.find((each) => each.includes('-trial')) as string;
    const history = JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as {
      events: { eventType: string; signalExternalWorkflowExecutionInitiatedEventAttributes?: object }[];
    };
    const changed = {
      events: history.events.filter(
        ({ eventType }) => !eventType.includes('SIGNAL_EXTERNAL') && !eventType.includes('EXTERNAL_WORKFLOW_EXECUTION_SIGNALED'),
      ),
    };
    // Event ids must stay in order for the change to be one of the program, not of the file.
    const renumbered = { events: changed.events.map((event, index) => ({ ...event, eventId: String(index + 1) })) };
    await expect(Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundleFile') } }, renumbered)).rejects.toThrow(
      /nondeterminism/i,
    );
  });
});
