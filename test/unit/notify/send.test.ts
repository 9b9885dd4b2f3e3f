import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sendNotice } from '../../../src/notify/send.ts';

const MESSAGE = { campaign: 'digits-1', event: 'best', text: 'New best: a 0.9 in trial 7.' } as const;
const on = ['best'] as const;

let folder: string;
let server: Server;
let status = 200;
const bodies: string[] = [];
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-notify-'));
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => {
      body += piece;
    });
    request.on('end', () => {
      bodies.push(body);
      response.writeHead(status).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true, force: true });
});

const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-path`;

describe('a webhook', () => {
  it('gets the text as chat services show it, and the event for programs', async () => {
    await sendNotice({ kind: 'webhook', url: 'env:HOOK', on }, MESSAGE, { HOOK: url() });
    expect(JSON.parse(bodies.at(-1) ?? '')).toEqual({ text: 'digits-1: New best: a 0.9 in trial 7.', campaign: 'digits-1', event: 'best' });
  });

  it('that refuses, is not there or is not set is told without its URL', async () => {
    status = 500;
    const hook = { kind: 'webhook', url: 'env:HOOK', on } as const;
    await expect(sendNotice(hook, MESSAGE, { HOOK: url() })).rejects.toThrow(/^The webhook of HOOK answered HTTP 500\.$/);
    status = 200;
    const gone = sendNotice(hook, MESSAGE, { HOOK: 'http://127.0.0.1:1/secret-path' });
    await expect(gone).rejects.toThrow(/^The webhook of HOOK cannot be reached \((?!.*secret).*\)\.$/);
    await expect(sendNotice(hook, MESSAGE, {})).rejects.toThrow('HOOK (notify: webhook) is not set');
  });
});

describe('mail', () => {
  it('goes to sendmail with headers of one line each', async () => {
    const program = path.join(folder, 'sendmail');
    await writeFile(program, `#!/bin/sh\nprintf '%s\\n' "$@" > ${folder}/words\ncat > ${folder}/mail\n`);
    await chmod(program, 0o755);
    const odd = { ...MESSAGE, campaign: 'digits\nBcc: x@y.z' };
    await sendNotice({ kind: 'mail', to: 'me@example.org', on }, odd, { HOLDFAST_SENDMAIL: program, PATH: process.env.PATH });
    expect(await readFile(path.join(folder, 'words'), 'utf8')).toBe('-t\n-i\n');
    const mail = await readFile(path.join(folder, 'mail'), 'utf8');
    expect(mail.slice(0, mail.indexOf('\n\n')).split('\n')).toEqual([
      'To: me@example.org',
      'Subject: [holdfast] digits Bcc: x@y.z: best',
      'Content-Type: text/plain; charset=utf-8',
    ]);
    expect(mail).toContain('New best: a 0.9 in trial 7.');
  });
});

describe('a command', () => {
  it('reads the notice from its input, and its words are read by no shell', async () => {
    const file = path.join(folder, 'told $(x)');
    await sendNotice({ kind: 'command', command: ['tee', file], on }, MESSAGE, { PATH: process.env.PATH });
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(MESSAGE);
  });

  it.each([
    [['sh', '-c', 'echo no such channel >&2; exit 4'], /ended with 4: no such channel/],
    [['no-such-program-here'], /cannot be started/],
  ])('that fails is told: %j', async (command, words) => {
    await expect(sendNotice({ kind: 'command', command, on }, MESSAGE, { PATH: process.env.PATH })).rejects.toThrow(words);
  });
});
