import { describe, expect, it } from 'vitest';
import { type HealthFinding, type HealthReport, nextReport } from '../../../src/domain/health.ts';
import { isOlder, judgeVersions } from '../../../src/systems/globus/version-skew.ts';
import { healthDetails } from '../../../src/view/health.ts';

const online: HealthFinding = { id: 'TS8', title: 'endpoint online', about: 'e1', status: 'ok', found: 'online' };
const offline: HealthFinding = { ...online, status: 'fail', found: 'offline', advice: 'Run: holdfast endpoint start NAME' };
const unasked: HealthFinding = { ...online, status: 'skip', found: 'not asked' };
const chain = (...checks: HealthFinding[][]) =>
  checks.reduce<HealthReport | undefined>(
    (before, findings, index) => nextReport('s', before, findings, index + 1),
    undefined,
  ) as HealthReport;

describe('the health of a system', () => {
  it.each<[string, HealthFinding[][], [number, string, string][]]>([
    ['is well from the first check on: no event', [[online], [online]], []],
    ['is bad at the first check', [[offline]], [[1, 'ok', 'fail']]],
    ['stays bad: told once', [[offline], [offline], [offline]], [[1, 'ok', 'fail']]],
    [
      'goes and comes',
      [[online], [offline], [online]],
      [
        [2, 'ok', 'fail'],
        [3, 'fail', 'ok'],
      ],
    ],
    ['cannot be asked and is well again', [[online], [unasked], [online]], []],
    ['went bad while nobody could ask', [[online], [unasked], [unasked], [offline]], [[4, 'ok', 'fail']]],
    ['was bad before nobody could ask, and still is', [[offline], [unasked], [offline]], [[1, 'ok', 'fail']]],
  ])('%s', (_, checks, events) => {
    expect(chain(...checks).events.map(({ at, from, to }) => [at, from, to])).toEqual(events);
  });

  it('keeps since when each status holds, and apart what is about several endpoints', () => {
    const other = { ...offline, about: 'e2' };
    const report = chain([online, other], [online, other], [offline, other]);
    expect(report.findings.map(({ about, since }) => [about, since])).toEqual([
      ['e1', 3],
      ['e2', 1],
    ]);
    expect(report.verdict).toBe('fail');
  });

  it('stays small however often it changes', () => {
    const checks = Array.from({ length: 500 }, (_, index) => [{ ...(index % 2 ? online : offline), found: 'x'.repeat(5_000) }]);
    const report = chain(...checks);
    expect(report.events).toHaveLength(50);
    expect(JSON.stringify(report).length).toBeLessThan(30_000);
  });

  it('is shown with what is wrong first and what mends it, and no markup of others', () => {
    const details = healthDetails(chain([{ ...offline, found: '<b>gone</b>' }]));
    expect(details).toMatch(/^## system s does not work: endpoint online: \\<b\\>gone/);
    expect(details).toContain('holdfast endpoint start NAME');
    expect(details).not.toContain('<b>');
  });
});

describe('versions of endpoint and service', () => {
  it.each([
    [{ endpoint: '4.19.0', leastEndpoint: '2.0.0', leastSdk: '2.0.0' }, 'OK', /4\.19\.0/],
    [{ endpoint: '4.30.2' }, 'OK', /4\.30\.2/],
    [{ endpoint: undefined }, 'OK', /unknown version/],
    [{ endpoint: '1.2.0', leastEndpoint: '2.0.0' }, 'FAIL', /older than the service's least 2\.0\.0/],
    [{ endpoint: '4.9.0', leastEndpoint: '2.0.0' }, 'WARN', /no template/],
    [{ endpoint: '5.0.0a1' }, 'WARN', /major release ahead/],
    [{ endpoint: '4.19.0', leastSdk: '5.0.0' }, 'FAIL', /Holdfast speaks the protocol of 4\.19\.0/],
  ])('%j is %s', (seen, verdict, message) => {
    const skew = judgeVersions(seen);
    expect(skew.verdict).toBe(verdict);
    expect(skew.message).toMatch(message);
  });

  it('are compared by number, not by letter', () => {
    expect([isOlder('4.9', '4.10'), isOlder('4.10', '4.9'), isOlder('4.10', '4.10.0'), isOlder(undefined, '1')]).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});
