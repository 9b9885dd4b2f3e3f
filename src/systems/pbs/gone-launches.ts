import type { ExchangeAnswer, GoneLaunch } from './exchange.ts';
import type { LostRule } from './judge-pilots.ts';

/** Launches whose folder somebody has removed by hand (R34), from answer to answer; times of a monotonic clock. */
export class GoneLaunches {
  readonly #known = new Map<string, { readonly launch: GoneLaunch; looks: number; readonly since: number }>();

  note(answer: Pick<ExchangeAnswer, 'gone'>, nowSeconds: number): void {
    const now = new Set(answer.gone.map(({ campaign }) => campaign));
    for (const campaign of this.#known.keys()) if (!now.has(campaign)) this.#known.delete(campaign);
    for (const launch of answer.gone) {
      const known = this.#known.get(launch.campaign) ?? { launch, looks: 0, since: nowSeconds };
      this.#known.set(launch.campaign, { ...known, launch, looks: known.looks + 1 });
    }
  }

  get(campaign: string): GoneLaunch | undefined {
    return this.#known.get(campaign)?.launch;
  }

  /** Missing for so long that no file system's delay explains it. */
  certain(campaigns: readonly string[], nowSeconds: number, rule: LostRule): string[] {
    return campaigns.filter((campaign) => {
      const known = this.#known.get(campaign);
      return known !== undefined && known.looks >= rule.looks && nowSeconds - known.since >= rule.settleSeconds;
    });
  }

  notices(): string[] {
    return [...this.#known.values()].map(
      ({ launch }) =>
        `${launch.campaign}: its launch folder ${launch.directory} was removed by hand; it is made again, its jobs are deleted and what was in flight counts as lost`,
    );
  }
}
