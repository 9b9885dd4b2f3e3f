import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Notice, NotifyTarget } from '../domain/notices.ts';
import { fetchFor } from '../llm/proxied-fetch.ts';

/** A notice with whose it is. */
export interface Message extends Notice {
  readonly campaign: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const PATIENCE_MS = 20_000;

/** Sends one notice one way. Throws an Error in words when it was not taken; the URL of a webhook never stands in them. */
export async function sendNotice(target: NotifyTarget, message: Message, env: Environment): Promise<void> {
  switch (target.kind) {
    case 'webhook':
      return post(target.url.slice('env:'.length), message, env);
    case 'mail':
      return pipe([sendmail(env), '-t', '-i'], mailText(target.to, message), env);
    case 'command':
      return pipe(target.command, `${JSON.stringify(message)}\n`, {
        ...env,
        HOLDFAST_CAMPAIGN: message.campaign,
        HOLDFAST_EVENT: message.event,
      });
  }
}

async function post(name: string, { campaign, event, text }: Message, env: Environment): Promise<void> {
  const url = env[name];
  if (url === undefined || !/^https?:\/\//.test(url))
    throw new Error(`${name} (notify: webhook) is not set to a URL where the worker runs.`);
  const body = JSON.stringify({ text: `${campaign}: ${text}`, campaign, event });
  const answer = await fetchFor(url, env)(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).catch((error: unknown) => {
    const { cause, message } = error as Error & { cause?: { code?: string } };
    throw new Error(`The webhook of ${name} cannot be reached (${cause?.code ?? message.replaceAll(url, '…')}).`);
  });
  if (!answer.ok) throw new Error(`The webhook of ${name} answered HTTP ${answer.status}.`);
}

/** Headers hold one line each, whatever a campaign is called. */
function mailText(to: string, { campaign, event, text }: Message): string {
  const subject = `[holdfast] ${campaign}: ${event}`.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 150);
  return `To: ${to}\nSubject: ${subject}\nContent-Type: text/plain; charset=utf-8\n\n${text}\n\nholdfast status ${campaign}\n`;
}

function sendmail(env: Environment): string {
  return env.HOLDFAST_SENDMAIL ?? ['/usr/sbin/sendmail', '/usr/lib/sendmail'].find((file) => existsSync(file)) ?? 'sendmail';
}

function pipe([program = '', ...words]: readonly string[], input: string, env: Environment): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { env, stdio: ['pipe', 'ignore', 'pipe'], timeout: PATIENCE_MS, killSignal: 'SIGKILL' });
    let said = '';
    child.stderr.on('data', (piece: Buffer) => {
      said = `${said}${piece}`.slice(-500);
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.once('error', (error) => reject(new Error(`${program} (notify) cannot be started: ${error.message}`)));
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${program} (notify) ended with ${code ?? 'a signal'}: ${said.trim()}`)),
    );
  });
}
