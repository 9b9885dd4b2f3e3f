import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeFolder, makeFolderSync } from '../../src/make-folder.ts';

let base: string;
beforeAll(() => {
  base = mkdtempSync(path.join(tmpdir(), 'holdfast-folders-'));
  writeFileSync(path.join(base, 'file'), '');
  symlinkSync('nowhere', path.join(base, 'dangling'));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

describe.each<[string, (folder: string, mode?: number) => Promise<void>]>([
  ['makeFolder', makeFolder],
  ['makeFolderSync', async (folder, mode) => makeFolderSync(folder, mode)],
])('%s', (name, make) => {
  it('makes a folder with its parents, with a mode, again, and where others do the same', async () => {
    const folder = path.join(base, name, 'a', 'b');
    await Promise.all(Array.from({ length: 20 }, (_, index) => make(path.join(folder, String(index % 3)), 0o700)));
    await make(folder);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    await make('/');
    await make('.');
  });

  it('says what the system says of a place that takes none', async () => {
    await expect(make(path.join(base, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(make(path.join(base, 'file', 'a', 'b'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(make(path.join(base, 'dangling', 'a'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(make(path.join(base, 'x'.repeat(300), 'a'))).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
  });

  // Node's own recursive mkdir tries for ever there.
  it.skipIf(process.platform !== 'linux')('comes back from a folder that says of everything new that it is missing', async () => {
    for (const folder of ['/proc/none', '/proc/none/a/b'])
      await expect(make(folder)).rejects.toMatchObject({ code: 'ENOTSUP', message: 'No folder can be made in /proc.' });
  });
});

it('a folder that may be looked into, and not be made again, is there', async () => {
  mkdirSync(path.join(base, 'closed'), { mode: 0o500 });
  await makeFolder(path.join(base, 'closed'));
});
