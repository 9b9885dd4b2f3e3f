import { describe, expect, it } from 'vitest';
import { judgeExit, type PbsCommand } from '../../../src/systems/pbs/exit-status.ts';
import { golden, goldens, program } from './goldens.ts';

const COMMANDS = ['qsub', 'qstat', 'qdel', 'qselect', 'pbsnodes'];
const verdictOf = (name: string) => {
  const each = golden(name);
  return judgeExit(program(each.command) as PbsCommand, each.exit, each.stderr);
};

describe('judgeExit', () => {
  it.each([
    ['qsub-ok', 'ok'],
    ['qsub-route-rejected', 'ok'],
    ['qsub-max-queued-user', 'wait'],
    ['qsub-max-queued-server', 'wait'],
    ['qsub-max-queued-res', 'wait'],
    ['qsub-max-queued-project', 'wait'],
    ['qsub-disabled-queue', 'wait'],
    ['server-down-qsub', 'wait'],
    ['server-down-qsub-executable', 'wait'],
    ['server-hung-qsub', 'unknown'],
    ['server-hung-qsub-f', 'unknown'],
    ['server-unknown-host-qsub', 'refuse'],
    ['qsub-unknown-queue', 'refuse'],
    ['qsub-route-only', 'refuse'],
    ['qsub-no-account', 'refuse'],
    ['qsub-bad-account', 'refuse'],
    ['qsub-walltime-over-limit', 'refuse'],
    ['qsub-nodes-over-limit', 'refuse'],
    ['qsub-unknown-resource', 'refuse'],
    ['qsub-bad-walltime', 'refuse'],
    ['qsub-bad-user-list', 'refuse'],
    ['qsub-name-231', 'refuse'],
    ['qsub-crlf-script', 'refuse'],
    ['qsub-missing-script', 'refuse'],
    ['qsub-not-in-path', 'refuse'],
    ['server-down-qstat', 'wait'],
    ['server-down-qstat-json-E', 'wait'],
    ['server-unknown-host', 'refuse'],
    ['server-hung-qstat', 'wait'],
    ['query-unknown', 'gone'],
    ['query-expired', 'gone'],
    ['query-route-rejected', 'gone'],
    ['query-history-off', 'wait'],
    ['finished-without-x', 'finished'],
    ['server-down-qdel', 'wait'],
    ['qdel-queued', 'ok'],
    ['qdel-again', 'finished'],
    ['qdel-unknown-full', 'gone'],
    ['qdel-exiting', 'race'],
    ['qdel-others-job', 'refuse'],
    ['server-down-qselect', 'wait'],
    ['server-down-pbsnodes', 'wait'],
  ] as const)('%s means %s', (name, action) => {
    expect(verdictOf(name).action).toBe(action);
  });

  it('keeps the words of a site hook', () => {
    expect(verdictOf('qsub-bad-account')).toMatchObject({
      code: 'HF-PBS-ALLOCATION',
      message: 'qsub: No active allocation found for project nobody and resource aurora',
    });
    expect(verdictOf('qsub-bad-k').message).toBe('qsub: Keep_Files: only -k doe is allowed.');
  });

  it('leaves usage texts out of the message', () => {
    expect(verdictOf('qsub-name-blank').message).toBe('qsub: illegal -N value');
  });

  it('never takes a failed submission for a success, nor for one that may be repeated blindly, in any recorded case', () => {
    for (const each of goldens) {
      const command = program(each.command);
      if (!COMMANDS.includes(command)) continue;
      const { action } = judgeExit(command as PbsCommand, each.exit, each.stderr);
      if (each.exit !== 0) expect(action, each.case).not.toBe('ok');
      if (each.exit === 0 && each.stderr === '') expect(action, each.case).toBe('ok');
    }
  });

  it('looks a job up whose qsub ended with a status that has no row', () => {
    expect(judgeExit('qsub', 77, 'qsub: new words').action).toBe('unknown');
    expect(judgeExit('qstat', 77, '').action).toBe('wait');
    expect(judgeExit('qstat', 255, '').action).toBe('wait');
  });

  it('waits when the login node has no ports left, whatever the status', () => {
    expect(judgeExit('qsub', 1, 'pbs_iff: error: all reserved ports in use').action).toBe('wait');
  });
});
