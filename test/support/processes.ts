import { readdirSync, readFileSync } from 'node:fs';

/** Command lines of the processes of this computer that name a folder: agents and trainings of the campaigns below it. */
export function processesOf(folder: string): string[] {
  return naming(folder).map(({ command }) => command);
}

/** Kills what {@link processesOf} names. */
export function killProcessesOf(folder: string): void {
  for (const { pid } of naming(folder)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // It ended while we looked.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

function naming(folder: string): { readonly pid: number; readonly command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((name) => ({ pid: Number(name), command: commandOf(name) }))
    .filter(({ command }) => command.includes(folder));
}

/** A process's command line; empty for one that has ended, reaped or not, whoever has its number by now. */
export function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    // It ended while we looked.
    return '';
  }
}
