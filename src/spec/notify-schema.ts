import * as z from 'zod';
import { NOTICE_EVENTS, type NotifyTarget } from '../domain/notices.ts';
import { commandWords } from './command-words.ts';
import { text } from './scalars.ts';
import { section } from './section.ts';

const ways = section({
  mail: text().exactOptional().meta({ description: 'An address; sent by sendmail of the worker’s computer' }),
  webhook: text()
    .exactOptional()
    .meta({ description: 'env:NAME of the variable that holds the URL: Slack, Teams or anything that takes {"text": …}' }),
  command: z
    .union([text(), z.array(text()).min(1)])
    .exactOptional()
    .meta({ description: 'A program of the worker’s computer; it reads the notice as JSON from its input' }),
  on: z
    .array(z.enum(NOTICE_EVENTS))
    .min(1)
    .default([...NOTICE_EVENTS])
    .meta({ description: 'When; absent: always' }),
});

/** One entry of `notify`: exactly one way to tell. */
const target = ways.transform((given, context): NotifyTarget => {
  const { mail, webhook, command, on } = given;
  const fail = (message: string, next: string): never => {
    context.addIssue({ code: 'custom', message, params: { next } });
    return z.NEVER;
  };
  if ([mail, webhook, command].filter((way) => way !== undefined).length !== 1)
    return fail('must have exactly one of mail, webhook and command', 'Write one entry for each.');
  if (mail !== undefined) {
    if (!/^[^\s@<>,;]+@[^\s@<>,;]+$/.test(mail))
      return fail(`is ${JSON.stringify(mail)}, which is no mail address`, 'Write one address: me@example.org.');
    return { kind: 'mail', to: mail, on };
  }
  if (webhook !== undefined) {
    // The URL of a webhook is its password: it must not stand in the history.
    if (!/^env:[A-Za-z_]\w*$/.test(webhook))
      return fail('must not hold the URL itself: it would stand in the history', 'Write env:NAME and set NAME where the worker runs.');
    return { kind: 'webhook', url: webhook, on };
  }
  return { kind: 'command', command: typeof command === 'string' ? commandWords(command) : (command ?? []), on };
});

export const notifySchema = z.array(target).max(20);
