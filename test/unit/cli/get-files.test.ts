import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { filesBelow } from '../../../src/cli/get.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-get-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('the files of a trial can be listed while its training replaces them', async () => {
  const checkpoint = path.join(folder, 'checkpoint');
  await mkdir(checkpoint);
  await writeFile(path.join(folder, 'metrics.jsonl'), '{"epoch": 1}\n');
  await writeFile(path.join(checkpoint, 'state.pt'), '12345');
  let isTraining = true;
  const training = (async () => {
    while (isTraining) {
      await writeFile(path.join(checkpoint, 'state.pt.tmp'), '12345');
      await rename(path.join(checkpoint, 'state.pt.tmp'), path.join(checkpoint, 'state.pt'));
    }
  })();
  try {
    for (let looks = 0; looks < 300; looks += 1) {
      const files = await filesBelow(folder);
      expect(files.get('metrics.jsonl')).toBe(13);
      // A folder that is listed while a name is renamed over another may show both, one or none of them.
      expect(files.get('checkpoint/state.pt') ?? 5).toBe(5);
    }
  } finally {
    isTraining = false;
    await training;
  }
});
