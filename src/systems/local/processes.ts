import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { AgentIdentity } from '../spool/records.ts';

/** Start of a process in clock ticks since boot: with the pid it names a process for ever. Undefined when there is no such process. */
export function processStart(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // After the command's name, which may hold spaces and brackets, start time is the 20th field (proc(5)). Z is dead already.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    // No such process, or no /proc: see isAlive.
    return undefined;
  }
}

/** Which start of this computer it is; process ids mean something within one only. Empty where that is not known. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    // Not Linux: the agent writes an empty one there too.
    return '';
  }
}

/** Whether the agent that wrote an agent.json lives on this computer. */
export function isAlive(identity: AgentIdentity): boolean {
  if (identity.host !== hostname() || identity.boot_id !== bootId()) return false;
  if (identity.start_time !== null) return processStart(identity.pid) === identity.start_time;
  return signalTo(identity.pid, 0);
}

/** Sends a signal; false when there is no such process. */
export function signalTo(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    // ESRCH: gone. EPERM: the number belongs to somebody else by now.
    return false;
  }
}
