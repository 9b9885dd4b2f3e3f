import { DriverError } from '../driver.ts';

/** What an HTTP answer means for us: log in again, ask again later, or give up. */
export type HttpMeaning = 'needs_login' | 'transport' | 'refused';

interface StatusRow {
  /** First and last status of the row. */
  readonly from: number;
  readonly to: number;
  readonly class: HttpMeaning;
  readonly code: string;
  readonly next: string;
}

/** First matching row wins. Statuses that the service declares: globus.md section 2; 429 and 502–504 are undeclared but real. */
export const STATUS_TABLE: readonly StatusRow[] = [
  { from: 401, to: 401, class: 'needs_login', code: 'HF-GLOBUS-UNAUTHENTICATED', next: 'Run `holdfast login globus`.' },
  {
    from: 403,
    to: 403,
    class: 'refused',
    code: 'HF-GLOBUS-FORBIDDEN',
    next: 'Ask the owner of the endpoint for access, or log in with another identity.',
  },
  {
    from: 404,
    to: 404,
    class: 'refused',
    code: 'HF-GLOBUS-NOT-FOUND',
    next: 'Check the id in the configuration (`holdfast endpoint list`).',
  },
  { from: 408, to: 408, class: 'transport', code: 'HF-GLOBUS-TIMEOUT', next: 'It is asked again.' },
  { from: 409, to: 409, class: 'refused', code: 'HF-GLOBUS-CONFLICT', next: 'See who else uses this endpoint.' },
  { from: 413, to: 413, class: 'refused', code: 'HF-GLOBUS-TOO-LARGE', next: 'Send fewer or smaller arguments (10 MB per submission).' },
  {
    from: 422,
    to: 422,
    class: 'refused',
    code: 'HF-GLOBUS-INVALID',
    next: 'Compare the settings with the endpoint (`holdfast endpoint validate`).',
  },
  {
    from: 423,
    to: 423,
    class: 'transport',
    code: 'HF-GLOBUS-LOCKED',
    next: 'Somebody stopped the endpoint remotely, which locks it for a while; it is asked again.',
  },
  { from: 425, to: 425, class: 'transport', code: 'HF-GLOBUS-EARLY', next: 'It is asked again.' },
  { from: 429, to: 429, class: 'transport', code: 'HF-GLOBUS-RATE-LIMIT', next: 'It is asked again when the limit allows.' },
  { from: 400, to: 499, class: 'refused', code: 'HF-GLOBUS-REFUSED', next: 'Read the text of the service.' },
  { from: 500, to: 599, class: 'transport', code: 'HF-GLOBUS-SERVICE', next: 'It is asked again.' },
  {
    from: 300,
    to: 399,
    class: 'transport',
    code: 'HF-GLOBUS-REDIRECT',
    next: 'A proxy or a portal answers instead of the service; check the network.',
  },
];

/** Code names that say more than their status; anything else goes by its status. */
export const CODE_TABLE: Readonly<Record<string, Partial<Pick<StatusRow, 'class' | 'code' | 'next'>>>> = {
  INSUFFICIENT_AUTH_SCOPE: { class: 'needs_login', code: 'HF-GLOBUS-SCOPE', next: 'Run `holdfast login globus` to consent again.' },
  INVALID_AUTH_TOKEN: { class: 'needs_login', code: 'HF-GLOBUS-UNAUTHENTICATED' },
  ENDPOINT_NOT_FOUND: { code: 'HF-GLOBUS-ENDPOINT-NOT-FOUND', next: 'Check globus_compute.endpoint_id (`holdfast endpoint show`).' },
  FUNCTION_NOT_FOUND: { code: 'HF-GLOBUS-FUNCTION-NOT-FOUND', next: 'It is registered again.' },
  // After a login with another identity: what the first one registered and opened is not ours any more.
  FUNCTION_ACCESS_FORBIDDEN: { code: 'HF-GLOBUS-FUNCTION-NOT-FOUND', next: 'It is registered again.' },
  TASK_GROUP_ACCESS_FORBIDDEN: { code: 'HF-GLOBUS-GROUP-NOT-FOUND', next: 'A new group is opened.' },
  TASK_NOT_FOUND: { code: 'HF-GLOBUS-TASK-NOT-FOUND', next: 'The service has dropped it; the result is read from the endpoint.' },
  TASK_GROUP_NOT_FOUND: { code: 'HF-GLOBUS-GROUP-NOT-FOUND', next: 'A new group is opened.' },
  FUNCTION_NOT_PERMITTED: {
    code: 'HF-GLOBUS-FUNCTION-NOT-PERMITTED',
    next: 'The endpoint has a list of allowed functions: ask its owner to add ours.',
  },
  ENDPOINT_OUTDATED: { code: 'HF-GLOBUS-ENDPOINT-OUTDATED', next: 'Update globus-compute-endpoint on the machine and restart it.' },
};

/** An answer of the service that is no success. `serviceCode` is its code name, `retryAfterSeconds` its Retry-After. */
export class GlobusHttpError extends DriverError {
  readonly status: number;
  readonly serviceCode: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(row: Pick<StatusRow, 'class' | 'code'>, message: string, status: number, serviceCode?: string, retryAfterSeconds?: number) {
    super(row.class, row.code, message);
    this.name = 'GlobusHttpError';
    this.status = status;
    this.serviceCode = serviceCode;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** What says nothing about another campaign's endpoint: a refusal, or a lock. */
export function concernsOneCampaign(error: unknown): error is DriverError {
  return error instanceof DriverError && (error.class === 'refused' || error.code === 'HF-GLOBUS-LOCKED');
}

/** A call that may have had its effect: the connection ended, time ran out, or the answer cannot be read. Never re-send it blindly. */
export class AmbiguousAnswerError extends DriverError {
  constructor(what: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super('transport', 'HF-GLOBUS-ANSWER-LOST', `answer of ${what} was lost (${reason}). It is looked up before anything is sent again.`, {
      cause,
    });
    this.name = 'AmbiguousAnswerError';
  }
}

/** Reads an answer that is no success: JSON errors of the service, GARE documents, and pages of proxies. */
export function httpError(
  status: number,
  body: string,
  retryAfter: string | null,
  what: string,
  now: number = Date.now(),
): GlobusHttpError {
  const document = parseObject(body);
  const serviceCode = typeof document?.code === 'string' ? document.code : undefined;
  const stepUp = document !== undefined && 'authorization_parameters' in document;
  const byStatus = STATUS_TABLE.find((row) => status >= row.from && status <= row.to) ?? {
    class: 'transport' as const,
    code: 'HF-GLOBUS-SERVICE',
    next: 'It is asked again.',
  };
  // A refusal that is not the service's JSON comes from a proxy, a portal or a web firewall in between: the campaign waits, it does not give up (R31).
  const foreign: Partial<StatusRow> =
    byStatus.class === 'refused' && status !== 413 && document === undefined
      ? { class: 'transport', code: 'HF-GLOBUS-BLOCKED', next: 'A proxy or firewall answered instead of the service; it is asked again.' }
      : {};
  const renewed: Partial<StatusRow> = stepUp
    ? { class: 'needs_login', code: 'HF-GLOBUS-STEP-UP', next: 'The session needs a fresh login: run `holdfast login globus`.' }
    : {};
  const row = { ...byStatus, ...foreign, ...(serviceCode === undefined ? {} : CODE_TABLE[serviceCode]), ...renewed };
  const detail =
    detailText(document) ||
    body
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim();
  const message = `${what} failed: ${detail.slice(0, 1_500) || 'no text'} (HTTP ${status}${serviceCode ? ` ${serviceCode}` : ''}). ${row.next}`;
  return new GlobusHttpError(row, message, status, serviceCode, retryAfterSeconds(retryAfter, now));
}

/** Retry-After as seconds: a number or an HTTP date; at most an hour. */
export function retryAfterSeconds(header: string | null, now: number = Date.now()): number | undefined {
  if (header === null || header.trim() === '') return undefined;
  const seconds = /^\d+(\.\d+)?$/.test(header.trim()) ? Number(header) : (Date.parse(header) - now) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), 3_600) : undefined;
}

function parseObject(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** `detail` is a text, or a list of {loc, msg, type} for validation errors; OAuth errors have `error_description`. */
function detailText(document: Record<string, unknown> | undefined): string {
  const detail = document?.detail ?? document?.reason ?? document?.error_description ?? document?.error;
  if (typeof detail === 'string') return detail;
  if (!Array.isArray(detail)) return '';
  return detail
    .map((item: unknown) => {
      const entry = item as { loc?: unknown; msg?: unknown };
      return `${Array.isArray(entry.loc) ? `${entry.loc.join('.')}: ` : ''}${String(entry.msg ?? '')}`;
    })
    .join('; ');
}
