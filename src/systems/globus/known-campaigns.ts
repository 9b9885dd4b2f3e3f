import { join } from 'node:path';
import { type CampaignFacts, type FactsStore, factsStore } from './campaign-facts.ts';
import { type CampaignLook, type CampaignWatch, newWatch } from './campaign-watch.ts';
import type { GlobusConnection } from './connection.ts';
import type { TaskTarget } from './control-tasks.ts';
import { holdState } from './hold-state.ts';
import { type DriverTimes, type GlobusDriverOptions, INLINE_BYTES } from './options.ts';
import { openGroup } from './prepare-launch.ts';
import type { SubmitContext } from './submit-trials.ts';

/** The campaigns of one driver: their durable facts, what this process has seen of them, and one call at a time for each. */
export class KnownCampaigns {
  readonly store: FactsStore;
  readonly #options: GlobusDriverOptions;
  readonly times: DriverTimes;
  readonly #connection: GlobusConnection;
  readonly #facts = new Map<string, CampaignFacts>();
  readonly #watches = new Map<string, CampaignWatch>();
  readonly #locks = new Map<string, Promise<unknown>>();
  /** Closed by this process: not known any more, and not lost. */
  readonly #closed = new Set<string>();
  #loading: Promise<void> | undefined;

  constructor(options: GlobusDriverOptions, times: DriverTimes, connection: GlobusConnection) {
    this.store = factsStore(join(options.stateDirectory, 'campaigns'));
    this.#options = options;
    this.times = times;
    this.#connection = connection;
  }

  /** Reads what an earlier process left, once. Throws DriverError transport while another worker holds the state folder. */
  async ready(): Promise<void> {
    this.#loading ??= holdState(this.#options.stateDirectory)
      .then(() => this.store.load())
      .then((found) => {
        for (const facts of found) this.#facts.set(facts.campaign, facts);
      });
    try {
      await this.#loading;
    } catch (error) {
      this.#loading = undefined;
      throw error;
    }
  }

  all(): CampaignFacts[] {
    return [...this.#facts.values()];
  }

  find(campaign: string): CampaignFacts | undefined {
    return this.#facts.get(campaign);
  }

  add(facts: CampaignFacts): void {
    this.#facts.set(facts.campaign, facts);
    this.#closed.delete(facts.campaign);
  }

  async close(campaign: string): Promise<void> {
    await this.store.remove(campaign);
    this.#facts.delete(campaign);
    this.#watches.delete(campaign);
    this.#closed.add(campaign);
  }

  /** Whether the facts of a campaign that should be here are gone, or its trials have not been asked to submit again yet. */
  isLost(campaign: string): boolean {
    const facts = this.#facts.get(campaign);
    return facts === undefined ? !this.#closed.has(campaign) : facts.rebuilding?.isRecalling === true;
  }

  /** One call at a time works on a campaign's facts. */
  alone<T>(campaign: string, work: () => Promise<T>): Promise<T> {
    const before = this.#locks.get(campaign) ?? Promise.resolve();
    const next = before.then(work, work);
    this.#locks.set(
      campaign,
      next.catch(() => undefined),
    );
    return next;
  }

  watchOf(campaign: string): CampaignWatch {
    let watch = this.#watches.get(campaign);
    if (!watch) {
      watch = newWatch();
      this.#watches.set(campaign, watch);
    }
    return watch;
  }

  targetOf(facts: CampaignFacts): TaskTarget {
    return this.#connection.target(facts.endpointId, facts.authMethod, facts.userEndpointConfig);
  }

  submitContext(facts: CampaignFacts): SubmitContext {
    const target = this.targetOf(facts);
    const { times } = this;
    return {
      facts,
      target,
      save: () => this.store.save(facts),
      settleSeconds: times.settle,
      openGroup: () => openGroup(target, facts.directory),
      request: (offer) => ({
        op: 'trial',
        directory: facts.directory,
        agent: facts.agent,
        python: facts.python,
        setup: this.#options.setup ?? [],
        env: this.#options.env ?? {},
        offer,
        poll: times.agentPoll,
        heartbeat: times.heartbeat,
        stale: times.stale,
        // The agent ends the training at its limit; this ends an agent that does not.
        seconds: facts.functionTimeoutSeconds + 2 * facts.graceSeconds + 60,
        inline_bytes: INLINE_BYTES,
      }),
    };
  }

  lookOf(facts: CampaignFacts, signal?: AbortSignal): CampaignLook {
    return {
      facts,
      watch: this.watchOf(facts.campaign),
      target: this.targetOf(facts),
      times: this.times,
      context: this.submitContext(facts),
      ...(signal ? { signal } : {}),
    };
  }
}
