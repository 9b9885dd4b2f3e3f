import { describe, expect, it } from 'vitest';
import type { PilotRow } from '../../../src/systems/pbs/exchange.ts';
import { judgePilots, type Missing } from '../../../src/systems/pbs/judge-pilots.ts';
import { golden } from './goldens.ts';

const RULE = { looks: 3, seconds: 600, settleSeconds: 120, arrivalSeconds: 300 };
const ID = '1247.aurora-pbs-0001.hostmgmt.cm.aurora.test';
/** Holds 1247, called txt-b, F with Exit_status 3. */
const TEXT = golden('query-E-text').stdout.toString();

const row = (change: Partial<PilotRow> = {}): PilotRow => ({
  campaign: 'c',
  pilot: 'c.p1',
  key: 'txt-b',
  about: { slots: 24, nodes: 2, walltime_seconds: 300, other_queues: ['capacity'] },
  id: ID,
  age: 1000,
  claimed: false,
  seen: false,
  heartbeats: [],
  ...change,
});
const qstat = (stdout: string, exit = 0, stderr = '') => ({ exit, stdout, stderr });
const judge = (pilot: PilotRow, answer: ReturnType<typeof qstat> | null, missing: Missing = new Map(), now = 0) =>
  judgePilots([pilot], answer, missing, now, RULE);
const UNKNOWN = qstat('', 153, `qstat: Unknown Job Id ${ID}\n`);

describe('judgePilots', () => {
  it('ends a pilot whose job PBS shows as finished, with PBS’s own words', () => {
    const { seen, settle } = judge(row(), qstat(TEXT));
    expect(seen[0]).toMatchObject({ state: 'ended', end: { kind: 'failed', message: expect.stringContaining('Exit_status 3') } });
    expect(settle).toHaveLength(1);
  });

  it('leaves a job of another name alone (an id used again after a reset)', () => {
    const { seen, settle, cancel, notices } = judge(row({ key: 'hf-c.p1-0123456789ab' }), qstat(TEXT));
    expect([seen[0]?.state, settle, cancel]).toEqual(['queued', [], []]);
    expect(notices[0]).toContain('is not ours');
  });

  it.each([
    ['a server that is down', golden('server-down-qstat')],
    ['a hung server', golden('server-hung-qstat')],
  ])('%s changes nothing', (_name, answer) => {
    for (const claimed of [true, false]) {
      const { seen, settle, isSilent, notices } = judge(row({ claimed }), qstat('', answer.exit, answer.stderr));
      expect([seen[0]?.state, settle.length, isSilent, notices.length]).toEqual([claimed ? 'running' : 'queued', 0, true, 1]);
    }
  });

  it('takes an answer that was cut in the middle of the job for no news', () => {
    expect(judge(row({ seen: true }), qstat(TEXT.slice(0, TEXT.indexOf('Exit_status')))).settle).toEqual([]);
  });

  it('an id that PBS does not know waits at first, then was dropped by routing', () => {
    const missing: Missing = new Map();
    expect(judge(row({ age: 5 }), UNKNOWN, missing, 0).seen[0]?.state).toBe('unknown');
    expect(judge(row({ age: 60 }), UNKNOWN, missing, 60).seen[0]?.state).toBe('unknown');
    expect(judge(row({ age: 130 }), UNKNOWN, missing, 125).seen[0]?.end).toMatchObject({ kind: 'never_ran' });
  });

  it('a job that was seen before is lost only after three looks over ten minutes', () => {
    const missing: Missing = new Map();
    const states = [0, 60, 300, 601].map((now) => judge(row({ seen: true, claimed: true }), UNKNOWN, missing, now).seen[0]);
    expect(states.map((pilot) => pilot?.end?.kind ?? pilot?.state)).toEqual(['running', 'running', 'running', 'lost']);
  });

  it('a job that PBS has forgotten is not lost as long as its agents beat', () => {
    const missing: Missing = new Map();
    const at = (now: number, beat: number) => {
      const heartbeats = [{ agent: 'c.p1', beat, state: 'running', finished: 0, allocated_slot_seconds: 0, busy_slot_seconds: 0 }];
      const own = row({ seen: true, claimed: true, heartbeats: heartbeats as unknown as PilotRow['heartbeats'] });
      const seen = judge(own, UNKNOWN, missing, now).seen[0];
      return seen?.end?.kind ?? seen?.state;
    };
    expect([0, 300, 600, 900, 1_200].map((now) => at(now, now))).toEqual(Array(5).fill('running'));
    // From the last beat on the rule is as ever.
    expect([1_500, 1_799, 1_800].map((now) => at(now, 1_200))).toEqual(['running', 'running', 'lost']);
  });

  it('its exit file ends a job that PBS has forgotten', () => {
    expect(judge(row({ seen: true, exit: '0' }), UNKNOWN).seen[0]?.end?.kind).toBe('normal');
    expect(judge(row({ seen: true, exit: '92' }), UNKNOWN).seen[0]?.end?.kind).toBe('failed');
    const noHistory = golden('query-history-off');
    expect(judge(row({ seen: true, exit: '0' }), qstat('', 0, noHistory.stderr)).seen[0]?.end?.kind).toBe('normal');
  });

  describe('a job that PBS shows as finished without the marks of an end', () => {
    const bare = TEXT.replaceAll(/\n {4}(history_timestamp|stime|obittime) = .*/g, '');
    const beating = (beat: number) =>
      [
        { agent: 'c.p1', beat, state: 'running', finished: 0, allocated_slot_seconds: 0, busy_slot_seconds: 0 },
      ] as unknown as PilotRow['heartbeats'];
    const judged = (times: readonly number[], answer = bare, change: (now: number) => Partial<PilotRow> = () => ({})) => {
      const missing: Missing = new Map();
      const seen = times.map((now) => judge(row({ seen: true, claimed: true, ...change(now) }), qstat(answer), missing, now).seen[0]);
      return seen.map((pilot) => pilot?.end?.kind ?? pilot?.state);
    };

    it('ends by what it says when it says so for as long as it takes a job to be lost', () => {
      expect(judged([0, 60, 599, 600])).toEqual(['running', 'running', 'running', 'failed']);
      const unsaid = bare.replace(/\n {4}Exit_status = .*/, '');
      expect(judged([0, 60, 600], unsaid)).toEqual(['running', 'running', 'lost']);
      expect(judged([0, 60, 600], unsaid, () => ({ claimed: false }))).toEqual(['queued', 'queued', 'never_ran']);
      expect(judged([0, 1, 2], unsaid, () => ({ cancelled: 'not needed' }))).toEqual(['running', 'running', 'normal']);
    });

    it('does not end while its agents beat, and an answer in between that it runs begins anew', () => {
      expect(judged([0, 300, 600, 900], bare, (now) => ({ heartbeats: beating(now) }))).toEqual(Array(4).fill('running'));
      const missing: Missing = new Map();
      const running = TEXT.replace('job_state = F', 'job_state = R').replace('substate = 93', 'substate = 42');
      const kinds = [bare, bare, running, bare, bare].map((answer, look) => {
        const pilot = judge(row({ seen: true, claimed: true }), qstat(answer), missing, look * 400).seen[0];
        return pilot?.end?.kind ?? pilot?.state;
      });
      expect(kinds).toEqual(Array(5).fill('running'));
    });

    it('ends at once by its script’s exit file', () => {
      expect(judged([0], bare, () => ({ exit: '0' }))).toEqual(['normal']);
      expect(judged([0], bare, () => ({ exit: '92' }))).toEqual(['failed']);
    });

    it('does not end by answers that are not whole, however many there are', () => {
      expect(judged([0, 400, 800, 1200], TEXT.slice(0, TEXT.indexOf('Exit_status')))).toEqual(Array(4).fill('running'));
    });
  });

  it('an empty answer with exit 0 proves nothing', () => {
    const missing: Missing = new Map();
    for (const now of [0, 1000, 2000, 3000]) expect(judge(row({ seen: true }), qstat(''), missing, now).seen[0]?.state).toBe('queued');
  });

  it('counts what we deleted ourselves as a normal end', () => {
    const deleted = TEXT.replace('substate = 93', 'substate = 91').replace('Exit_status = 3', 'Exit_status = 271');
    expect(judge(row({ cancelled: 'not needed' }), qstat(deleted)).seen[0]?.end).toEqual({
      kind: 'normal',
      message: 'Deleted on request: not needed',
    });
    expect(judge(row(), qstat(deleted)).seen[0]?.end).toMatchObject({ kind: 'killed', message: expect.stringContaining('by hand') });
  });

  it('a request that never arrived is given up after a while, and then on the system too', () => {
    const missing: Missing = new Map();
    const asked = [{ campaign: 'c', pilot: 'c.p9' }];
    expect(judgePilots([], null, missing, 0, RULE, asked)).toMatchObject({ seen: [], settle: [] });
    expect(judgePilots([], null, missing, 299, RULE, asked).seen).toEqual([]);
    const { seen, settle } = judgePilots([], null, missing, 300, RULE, asked);
    expect(seen[0]).toMatchObject({ pilot: 'c.p9', state: 'ended' });
    expect(settle[0]).toMatchObject({ campaign: 'c', pilot: 'c.p9' });
  });

  it('tells of a walltime that was changed by hand', () => {
    const running = TEXT.replaceAll('1246', '1').slice(0, TEXT.indexOf('Job Id: 1247'));
    const own = row({ id: '1.aurora-pbs-0001.hostmgmt.cm.aurora.test', key: 'txt-a', claimed: true });
    expect(judge(own, qstat(running)).notices).toEqual([]);
    expect(judge(own, qstat(running.replace('walltime = 00:05:00', 'walltime = 00:10:00'))).notices[0]).toContain(
      'changed by hand to 00:10:00',
    );
  });
});
