import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';

/** `path` › part of the test's name, as docs/features.md writes it. */
const PROOF = /`(test\/[^`]+)` › ([^|]+?)(?=<br>| \|)/g;

const page = await readFile('docs/features.md', 'utf8');
const proofs = [...page.matchAll(PROOF)].map((match) => ({ file: match[1] as string, name: match[2] as string }));

describe('docs/features.md', () => {
  it('names a proof in every row, and rows of every area', () => {
    const rows = page.split('\n').filter((line) => /^\| [A-Z]+\d/.test(line));
    expect(rows.length).toBeGreaterThan(80);
    expect(rows.filter((row) => !row.includes(' › '))).toEqual([]);
    expect(proofs.length).toBeGreaterThan(rows.length);
  });

  it('names only tests that there are', async () => {
    const missing: string[] = [];
    for (const { file, name } of proofs) {
      if (!existsSync(file) || !(await readFile(file, 'utf8')).includes(name)) missing.push(`${file} › ${name}`);
    }
    expect(missing).toEqual([]);
  });
});

describe('README.md', () => {
  it('links only to what is there', async () => {
    const readme = await readFile('README.md', 'utf8');
    const links = [...readme.matchAll(/\]\(((?!https?:)[^)#]+)/g)].map((match) => match[1] as string);
    expect(links.length).toBeGreaterThan(10);
    expect(links.filter((link) => !existsSync(link))).toEqual([]);
  });
});
