/** What a model service's refusal means and what is done about it (row L15). */

export type Remedy =
  /** The login: renew the token once, then a person is needed. */
  | 'login'
  /** Ask the same again after a pause, then the next model. */
  | 'again'
  /** Ask the next model at once. */
  | 'next'
  /** Ask the same with a simpler response format. */
  | 'simpler format'
  /** Ask the same without tools. */
  | 'without tools'
  /** Name the limit of tokens as models do that think before they answer. */
  | 'other limit'
  /** Ask the same without a temperature. */
  | 'own temperature';

export interface ServiceFailure {
  readonly remedy: Remedy;
  /** For the campaign's events: `HTTP 503, cluster under maintenance`. */
  readonly message: string;
  /** Seconds that the service asks to wait. */
  readonly retrySeconds?: number;
}

interface Row {
  /** Statuses, or 5xx for all from 500 on. */
  readonly status: readonly number[] | '5xx';
  /** Looked for in the error's text. */
  readonly text?: RegExp;
  readonly remedy: Remedy;
  readonly say: string;
}

const ROWS: readonly Row[] = [
  { status: [401], remedy: 'login', say: 'the login is refused' },
  { status: [403], text: /error code: 10\d\d/, remedy: 'next', say: 'a gateway refuses our requests' },
  { status: [403], remedy: 'login', say: 'the login is not allowed to use the service' },
  { status: [400, 422], text: /permission denied|high.assurance|session/i, remedy: 'login', say: 'the session has ended' },
  { status: [400, 422], text: /quota/i, remedy: 'next', say: 'the quota is used up' },
  { status: [400, 422], text: /max_completion_tokens/, remedy: 'other limit', say: 'max_tokens is not taken' },
  {
    status: [400, 422],
    text: /(unsupported|not support)[^}]*temperature|temperature[^}]*(unsupported|not support|deprecated)/i,
    remedy: 'own temperature',
    say: 'the temperature is not taken',
  },
  {
    status: [400, 422],
    text: /response_format|json_schema|json_object|guided|grammar|structured output/i,
    remedy: 'simpler format',
    say: 'the response format is not served',
  },
  { status: [400, 422], text: /tool|function.call/i, remedy: 'without tools', say: 'tools are not served' },
  { status: [400, 422], remedy: 'next', say: 'the request is refused' },
  { status: [404], remedy: 'next', say: 'the model is not there' },
  { status: [402], remedy: 'next', say: 'the quota is used up' },
  { status: [408], remedy: 'again', say: 'the service ran out of time' },
  { status: [429], remedy: 'again', say: 'too many requests' },
  { status: [503], text: /maintenance/i, remedy: 'next', say: 'the cluster is under maintenance' },
  { status: '5xx', remedy: 'again', say: 'the service has a fault' },
];

/** Reads an HTTP refusal by the table; what is in no row is the next model's turn. */
export function judgeStatus(status: number, text: string, retryAfter: string | null): ServiceFailure {
  const row = ROWS.find((each) => {
    const isMeant = each.status === '5xx' ? status >= 500 : each.status.includes(status);
    return isMeant && (each.text === undefined || each.text.test(text));
  });
  const retrySeconds = secondsOf(retryAfter ?? /"retry_after"\s*:\s*"?(\d+(?:\.\d+)?)/.exec(text)?.[1] ?? '');
  return {
    remedy: row?.remedy ?? 'next',
    message: `HTTP ${status}, ${row?.say ?? 'not understood'}`,
    ...(Number.isNaN(retrySeconds) ? {} : { retrySeconds: Math.max(0, retrySeconds) }),
  };
}

/** Retry-After in both its forms (RFC 9110, 10.2.3): seconds, or the moment from which on one may ask again. NaN for neither. */
function secondsOf(text: string): number {
  const seconds = text.trim() === '' ? Number.NaN : Number(text);
  return Number.isNaN(seconds) ? (Date.parse(text) - Date.now()) / 1000 : seconds;
}
