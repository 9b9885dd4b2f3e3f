import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withLockFile } from '../../src/lock-file.ts';

let folder: string;
let lock: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-lock-'));
  lock = path.join(folder, 'server.lock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The process id of one that has ended. */
const deadPid = () => spawnSync(process.execPath, ['-e', '']).pid;

async function most(count: number): Promise<number> {
  let inside = 0;
  let seen = 0;
  const work = async () => {
    inside += 1;
    seen = Math.max(seen, inside);
    await new Promise((resolve) => setTimeout(resolve, 2));
    inside -= 1;
  };
  await Promise.all(Array.from({ length: count }, () => withLockFile(lock, work)));
  return seen;
}

describe('a lock file', () => {
  it('lets one in at a time, gives way after a failure, and leaves nothing behind', async () => {
    expect(await most(20)).toBe(1);
    await expect(withLockFile(lock, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await withLockFile(lock, async () => existsSync(lock))).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('that a dead process has left is taken over, by one at a time', async () => {
    writeFileSync(lock, JSON.stringify({ pid: deadPid(), started: '1' }));
    expect(await most(20)).toBe(1);
  });

  it('of an id that is another process by now counts as left', async () => {
    writeFileSync(lock, JSON.stringify({ pid: process.pid, started: 'long ago' }));
    expect(await withLockFile(lock, async () => 'in')).toBe('in');
  });

  it('that a living process holds is waited for, not for ever, and not after Ctrl-C', async () => {
    await withLockFile(lock, async () => {
      await expect(withLockFile(lock, async () => 'in', { patienceMs: 120 })).rejects.toThrow(`is held by process ${process.pid}`);
      const interrupted = AbortSignal.abort(new Error('Ctrl-C'));
      await expect(withLockFile(lock, async () => 'in', { signal: interrupted })).rejects.toThrow('Ctrl-C');
    });
    expect(await withLockFile(lock, async () => 'in')).toBe('in');
  });

  it('where none can be made is done without', async () => {
    mkdirSync(path.join(folder, 'file'));
    expect(await withLockFile(path.join(folder, 'missing', 'server.lock'), async () => 'in')).toBe('in');
  });
});
