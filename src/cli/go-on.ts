import { chooseEntries, fitToSpace } from '../adopt/fit-to-space.ts';
import type { CampaignSpec } from '../domain/campaign.ts';
import { pointKey } from '../domain/points.ts';
import type { Point } from '../domain/space.ts';
import { MOST_RESULTS, type WarmStartEntry } from '../spec/warm-start.ts';
import { plural } from '../view/format.ts';
import { fromCampaign, refuseOtherDirection } from './adopt.ts';
import { withConstants } from './change-commands.ts';
import { CliError } from './exit-codes.ts';

/**
 * `run FILE --from CAMPAIGN`: the content of a campaign file, with the results of an earlier campaign among its `warm_start`, and without the points under
 * `enqueue` that it has tried; `note` says how many.
 * Throws CliError when none of them fits the file's space.
 */
export async function withResultsOf(
  campaign: string,
  value: Readonly<Record<string, unknown>>,
  { space, objectives, metricConstraints, allowDuplicates }: CampaignSpec,
): Promise<{ readonly value: Readonly<Record<string, unknown>>; readonly note: string }> {
  const { directions, trials } = await fromCampaign(campaign);
  refuseOtherDirection(campaign, directions, objectives);
  const target = { space, objectives, rename: new Map<string, string>(), fixed: new Map() };
  const { entries, skipped } = fitToSpace(trials, { ...target, ...(metricConstraints === undefined ? {} : { metricConstraints }) });
  if (entries.length === 0) {
    const why = skipped.map(({ reason, count }) => ` ${plural(count, 'trial')}: ${reason}.`).join('');
    throw new CliError('failed', 'HF-NOTHING-FITS', `None of ${plural(trials.length, 'trial')} of ${campaign} can be taken over.${why}`);
  }
  const own = (value.warm_start ?? []) as readonly WarmStartEntry[];
  const keyOf = (point: Point) => pointKey(withConstants(point, space.parameters));
  const tried = new Set(entries.map(({ params }) => keyOf(params)));
  // The file's own points were run by the campaign that it began, too.
  const enqueued = allowDuplicates
    ? value.enqueue
    : ((value.enqueue ?? []) as readonly Point[]).filter((point) => !tried.has(keyOf(point)));
  const chosen = chooseEntries(entries, objectives, MOST_RESULTS - own.length);
  return {
    value: { ...value, warm_start: [...own, ...chosen], ...(value.enqueue === undefined ? {} : { enqueue: enqueued }) },
    note: `It begins with ${plural(chosen.length, 'result')} of ${campaign}; its budget is for trials of its own.`,
  };
}
