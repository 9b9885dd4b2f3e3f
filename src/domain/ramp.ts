import type { ConcurrencyRamp } from './campaign.ts';

/** Above this share of successes a batch is followed by a larger one, at or below the other by a smaller one (row O4). */
const GROW_ABOVE = 0.8;
const SHRINK_UP_TO = 0.6;
const STEP = 2;

/**
 * Trials at once now: a cautious start that grows while trials succeed (the guide's initial_batch_size and adaptive_scaling). `successes` are the ends of
 * trials in the order in which they ended, cancelled ones left out; they are read in batches as large as the size at their time. Never below 1, never above
 * `most`.
 */
export function rampedConcurrency(ramp: ConcurrencyRamp, successes: readonly boolean[], most: number): number {
  let size = Math.min(ramp.initial, most);
  if (!ramp.isAdaptive) return size;
  for (let read = 0; successes.length - read >= size; ) {
    const batch = successes.slice(read, read + size);
    read += size;
    const rate = batch.filter(Boolean).length / batch.length;
    if (rate > GROW_ABOVE) size = Math.min(size + STEP, most);
    else if (rate <= SHRINK_UP_TO) size = Math.max(1, size - STEP);
  }
  return size;
}
