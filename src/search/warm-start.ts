import type { CampaignSpec } from '../domain/campaign.ts';
import type { ParameterValue, Point, Space } from '../domain/space.ts';
import type { PackedParams, TrialRow } from '../domain/trial.ts';

/** Origin of results that an earlier campaign brought. */
export const ADOPTED = 'adopted';

/**
 * The table as samplers see it: the results of `warm_start` first, as completed trials, then the campaign's own with their numbers moved up. The same table
 * always gives the same rows, so a sampler stays deterministic. Without a warm start it is the table itself.
 */
export function withWarmStart(
  { warmStart, space }: Pick<CampaignSpec, 'warmStart' | 'space'>,
  rows: readonly TrialRow[],
): readonly TrialRow[] {
  if (warmStart === undefined || warmStart.length === 0) return rows;
  const adopted = warmStart.map(
    ({ params, values, constraintValues }, index): TrialRow => ({
      number: index + 1,
      params: unpackParams(space, params),
      origin: ADOPTED,
      state: 'completed',
      values,
      ...(constraintValues === undefined ? {} : { constraintValues: constraintValues.map((value) => value ?? Number.NaN) }),
      attempts: 1,
      // Before everything of this campaign, in their order.
      createdAt: index,
      finishedAt: index,
    }),
  );
  return [...adopted, ...rows.map((row) => ({ ...row, number: row.number + adopted.length }))];
}

/** Values in the order of the space's parameters, null where one is inactive. */
export function packParams(space: Space, point: Point): PackedParams {
  return space.parameters.map(({ name }) => point[name] ?? null);
}

function unpackParams(space: Space, packed: PackedParams): Point {
  const point: Record<string, ParameterValue> = {};
  space.parameters.forEach(({ name }, index) => {
    const value = packed[index];
    if (value !== null && value !== undefined) point[name] = value;
  });
  return point;
}
