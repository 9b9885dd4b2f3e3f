import { SPOKEN_RELEASE } from './client.ts';

/** Versions of the two sides that we do not choose, as the service tells them; absent: it did not. */
export interface SeenVersions {
  /** Of the service's interface. */
  readonly api?: string | undefined;
  /** The oldest SDK and endpoint that the service still serves. */
  readonly leastSdk?: string | undefined;
  readonly leastEndpoint?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly endpointPython?: string | undefined;
}

export type Skew =
  | { readonly verdict: 'OK'; readonly message: string }
  | { readonly verdict: 'WARN' | 'FAIL'; readonly message: string; readonly fix: string };

/** Endpoints older than this have no template (4.10.1: `start` refuses an engine in config.yaml, globus.md section 1.7). */
const FIRST_WITH_TEMPLATE = '4.10.1';
const UPGRADE = 'pip install --upgrade globus-compute-endpoint';

type Row = readonly [applies: (seen: SeenVersions) => boolean, say: (seen: SeenVersions) => Skew];

/** The first row that applies is what is wrong, the worst first. */
const ROWS: readonly Row[] = [
  [
    ({ leastSdk }) => isOlder(SPOKEN_RELEASE.sdk_version, leastSdk),
    ({ leastSdk }) => ({
      verdict: 'FAIL',
      message: `Holdfast speaks the protocol of ${SPOKEN_RELEASE.sdk_version}, the service's least is ${leastSdk}`,
      fix: 'git pull && npm ci (a newer Holdfast)',
    }),
  ],
  [
    ({ endpoint, leastEndpoint }) => isOlder(endpoint, leastEndpoint),
    ({ endpoint, leastEndpoint }) => ({
      verdict: 'FAIL',
      message: `endpoint ${endpoint} is older than the service's least ${leastEndpoint}`,
      fix: UPGRADE,
    }),
  ],
  [
    ({ endpoint }) => isOlder(endpoint, FIRST_WITH_TEMPLATE),
    ({ endpoint }) => ({
      verdict: 'WARN',
      message: `endpoint ${endpoint} is older than ${FIRST_WITH_TEMPLATE}: it has no template, so \`holdfast endpoint\` cannot configure it`,
      fix: UPGRADE,
    }),
  ],
  [
    ({ endpoint }) => endpoint !== undefined && majorOf(endpoint) > majorOf(SPOKEN_RELEASE.sdk_version),
    ({ endpoint }) => ({
      verdict: 'WARN',
      message: `endpoint ${endpoint} is a major release ahead of ${SPOKEN_RELEASE.sdk_version}, with which Holdfast was tested`,
      fix: 'holdfast diag connectivity -e ID',
    }),
  ],
];

/** Whether service, endpoint and this client still fit. */
export function judgeVersions(seen: SeenVersions): Skew {
  const row = ROWS.find(([applies]) => applies(seen));
  return row?.[1](seen) ?? { verdict: 'OK', message: `endpoint ${seen.endpoint ?? 'of unknown version'}, our function fits` };
}

/** By name, for the health workflow's events. */
export function versionsSeen(seen: SeenVersions): Record<string, string> {
  const rows = { service: seen.api, endpoint: seen.endpoint, 'Python of the endpoint': seen.endpointPython };
  return Object.fromEntries(Object.entries(rows).flatMap(([name, version]) => (version === undefined ? [] : [[name, version]])));
}

/** Whether `has` is older than `least`, by its numbers from left to right; false where either is unknown. */
export function isOlder(has: string | undefined, least: string | undefined): boolean {
  if (has === undefined || least === undefined) return false;
  const [a, b] = [numbersOf(has), numbersOf(least)];
  const at = b.findIndex((part, index) => part !== (a[index] ?? 0));
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

/** `4.20.0a1` → [4, 20, 0]. */
function numbersOf(version: string): number[] {
  return version.split('.').map((part) => Number.parseInt(part, 10) || 0);
}

function majorOf(version: string): number {
  return numbersOf(version)[0] ?? 0;
}
