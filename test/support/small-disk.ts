import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';

/** A file system of its own at a folder. */
export interface SmallDisk {
  /** Takes the space but for so many KiB. */
  fill(leave?: number): void;
  empty(): void;
  /** From now on nobody may write to it. */
  makeReadOnly(): void;
  unmount(): void;
}

/** Mounts a tmpfs of so many KiB at `folder`, which is made; undefined where only root may. */
export function mountSmallDisk(folder: string, kibibytes: number): SmallDisk | undefined {
  mkdirSync(folder, { recursive: true });
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'tmpfs', folder]).status !== 0) return undefined;
  const ballast = path.join(folder, 'ballast');
  return {
    fill(leave = 0) {
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4096'], { stdio: 'ignore' });
      truncateSync(ballast, Math.max(0, statSync(ballast).size - leave * 1024));
    },
    empty: () => rmSync(ballast, { force: true }),
    makeReadOnly: () => spawnSync('mount', ['-o', 'remount,ro', folder]),
    // Lazily: a process that a failed test left behind must not keep it.
    unmount: () => spawnSync('umount', ['-l', folder]),
  };
}
