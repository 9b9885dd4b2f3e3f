// Share of wrong campaign files that are caught before anything is started, with the place and the right fix named.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GOOD, WRONG } from './wrong-campaigns.mjs';

/** Runs `holdfast validate` in this process over each file. Returns {caught, placed, fixed, of, failures}. */
export async function wrongFiles(main) {
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-wrong-'));
  const validate = async (text) => {
    const file = path.join(folder, 'campaign.yaml');
    writeFileSync(file, text);
    let told = '';
    const write = {
      write: (chunk) => {
        told += chunk;
        return true;
      },
    };
    const exit = await main(['validate', file], {
      env: {},
      input: process.stdin,
      output: write,
      errors: write,
      interrupted: new AbortController().signal,
    });
    return { exit, told };
  };
  try {
    const good = await validate(GOOD);
    if (good.exit !== 0) throw new Error(`the good file is refused: ${good.told}`);
    const count = { caught: 0, placed: 0, fixed: 0, of: WRONG.length };
    const failures = [];
    for (const [title, [from, to], where, fix] of WRONG) {
      if (!GOOD.includes(from)) throw new Error(`case "${title}": ${from} does not stand in the good file`);
      const { exit, told } = await validate(GOOD.replace(from, () => to));
      const line = told.replace(/\n/g, ' ');
      const [isCaught, isPlaced, isFixed] = [exit === 2, exit === 2 && where.test(line), exit === 2 && fix.test(line)];
      count.caught += Number(isCaught);
      count.placed += Number(isPlaced);
      count.fixed += Number(isPlaced && isFixed);
      if (!isCaught || !isPlaced || !isFixed) failures.push({ title, exit, told: told.trim() });
      else if (process.env.SHOW === '1') console.log(`${title}: ${told.trim()}`);
    }
    return { ...count, failures };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
