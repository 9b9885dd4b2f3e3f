/** Milliseconds of processor time that this process spends on a piece of work: a machine that lets it wait stretches the clock, and not this. */
export function processorMilliseconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
