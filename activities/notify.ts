import type { NotifyTarget } from '../src/domain/notices.ts';
import { type Message, sendNotice } from '../src/notify/send.ts';
import type { ActivityDeps } from './deps.ts';

/** Tells one person one thing one way. A failure is tried again a few times by the caller's policy and ends nothing. */
export function createNotify(deps: ActivityDeps) {
  return async function notify(order: { readonly target: NotifyTarget; readonly message: Message }): Promise<void> {
    await sendNotice(order.target, order.message, deps.env);
    deps.logger.info({ campaign: order.message.campaign, event: order.message.event, by: order.target.kind }, 'notice sent');
  };
}
