import { sshError } from './errors.ts';

/**
 * At most `limit` channels at once on one connection. A refusal by the server (MaxSessions below our limit) lowers the limit to what the
 * server did give, so that later commands wait here and not there.
 */
export class ChannelGate {
  private readonly full: number;
  private limit: number;
  private used = 0;
  private readonly waiting: { start: () => void }[] = [];

  constructor(limit: number) {
    this.full = limit;
    this.limit = limit;
  }

  /** Resolves to the function that gives the channel back. Throws DriverError when none is free before `deadline` (performance.now()). */
  async acquire(deadline: number, signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw sshError('HF-SSH-ABORTED', 'The command was cancelled before it was sent.');
    if (this.used >= this.limit || this.waiting.length > 0) await this.queue(deadline, signal);
    else this.used++;
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      this.used--;
      this.wake();
    };
  }

  /** To be called with the refused channel still held. */
  refused(): void {
    this.limit = Math.max(1, Math.min(this.limit, this.used - 1));
  }

  /** A new connection: the old one's limit says nothing about it. */
  reset(): void {
    this.limit = this.full;
    this.wake();
  }

  get channels(): number {
    return this.limit;
  }

  private wake(): void {
    while (this.used < this.limit) {
      const next = this.waiting.shift();
      if (!next) return;
      this.used++;
      next.start();
    }
  }

  private queue(deadline: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (error: Error) => {
        const index = this.waiting.indexOf(entry);
        if (index >= 0) this.waiting.splice(index, 1);
        settle();
        reject(error);
      };
      const onAbort = () => stop(sshError('HF-SSH-ABORTED', 'The command was cancelled before it was sent.'));
      const timer = setTimeout(
        () =>
          stop(
            sshError(
              'HF-SSH-BUSY',
              `All ${this.limit} channels of the connection were in use until the command's time was over. It is tried again.`,
            ),
          ),
        Math.max(0, deadline - performance.now()),
      );
      const settle = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      };
      const entry = {
        start: () => {
          settle();
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.waiting.push(entry);
    });
  }
}
