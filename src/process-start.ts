import { readFileSync } from 'node:fs';

/** When a process started, in clock ticks since boot (proc(5), field 22); undefined when there is none. Elsewhere than on Linux only whether it lives. */
export function processStart(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[19];
  } catch {
    if (process.platform === 'linux') return undefined;
  }
  try {
    process.kill(pid, 0);
    return 'alive';
  } catch {
    return undefined;
  }
}
