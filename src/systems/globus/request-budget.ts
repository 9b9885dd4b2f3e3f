/** A budget of requests in a sliding window, first come first served. */
export class RequestBudget {
  readonly #requests: number;
  readonly #windowMs: number;
  readonly #now: () => number;
  readonly #sent: number[] = [];
  #pausedUntil = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(requests: number, windowSeconds: number, now: () => number = () => performance.now()) {
    this.#requests = requests;
    this.#windowMs = windowSeconds * 1000;
    this.#now = now;
  }

  /** Waits until one more request fits; throws the signal's reason when it is aborted while waiting. */
  acquire(signal?: AbortSignal): Promise<void> {
    const turn = this.#tail.then(() => this.#wait(signal));
    // A caller that gives up must not stop those behind it.
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  /** After a 429 nobody asks for so long. */
  pause(seconds: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#now() + seconds * 1000);
  }

  /** Seconds that are left of a pause; 0 when there is none. */
  pauseSeconds(): number {
    return Math.max(0, this.#pausedUntil - this.#now()) / 1000;
  }

  async #wait(signal?: AbortSignal): Promise<void> {
    for (;;) {
      signal?.throwIfAborted();
      const now = this.#now();
      while (this.#sent.length > 0 && (this.#sent[0] as number) <= now - this.#windowMs) this.#sent.shift();
      const oldest = this.#sent[0];
      const full = this.#sent.length >= this.#requests && oldest !== undefined ? oldest + this.#windowMs : now;
      const ready = Math.max(full, this.#pausedUntil);
      if (ready <= now) {
        this.#sent.push(now);
        return;
      }
      await sleep(ready - now, signal);
    }
  }
}

/** Milliseconds; ends early with the signal's reason. */
export async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener('abort', stop);
        resolve();
      },
      Math.max(1, milliseconds),
    );
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}

/** The service allows each user 20 requests in 10 s; the margin covers what another tool of the same user asks. */
export const SERVICE_LIMIT = { requests: 20, windowSeconds: 10.5 } as const;

const budgets = new Map<string, RequestBudget>();

/** Sets the budget of a service, where its limits are other than the production service's. */
export function shareBudget(key: string, budget: RequestBudget): void {
  budgets.set(key, budget);
}

/** The one budget of this process for a service and a login: all campaigns share it. */
export function sharedBudget(key: string): RequestBudget {
  let budget = budgets.get(key);
  if (!budget) {
    budget = new RequestBudget(SERVICE_LIMIT.requests, SERVICE_LIMIT.windowSeconds);
    budgets.set(key, budget);
  }
  return budget;
}
