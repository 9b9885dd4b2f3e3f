import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { CampaignSpec } from '../domain/campaign.ts';
import { didYouMean } from '../spec/problem.ts';
import { listBundle } from '../systems/spool/bundle.ts';

/** Code above this is not searched: nothing is said of it then. */
const MOST_BYTES = 20_000_000;

/** `model(**params)` and `for name, value in params.items()` read every parameter without naming one. */
const READS_ALL = /[(,]\s*\*\*\s*\w|\.items\(\)|\bvars\(|\b__dict__\b/;

/** Names by which Python code reads keys: `p["lr"]`, `p.get('lr')`, `add_argument("--lr")`. */
const READS = /\[\s*["']([A-Za-z_][\w.-]*)["']\s*\]|\.get\(\s*["']([A-Za-z_][\w.-]*)["']|add_argument\(\s*["']--([A-Za-z_][\w-]*)["']/g;

/**
 * Warnings for parameters that the training can hardly read: neither does the command pass them, nor does their name stand anywhere in the training code.
 * Silent where that cannot be known: code outside of the bundle, code that takes parameters as a whole.
 */
export async function unreadParameters({ training, space }: CampaignSpec): Promise<string[]> {
  const { bundle, command } = training;
  if (bundle === undefined || !command.some((word) => word.includes('{code}'))) return [];
  const code = await codeOf(bundle);
  if (code === undefined || READS_ALL.test(code)) return [];
  const names = space.parameters.map(({ name }) => name);
  const read = new Set([...code.matchAll(READS)].map((match) => (match[1] ?? match[2] ?? match[3] ?? '').replaceAll('-', '_')));
  const others = [...read].filter((name) => !names.includes(name));
  return names
    .filter((name) => !command.some((word) => word.includes(`{${name}}`)) && !hasWord(code, name))
    .map((name) =>
      [
        `search_space.${name}: this name stands nowhere in the training code (${bundle}), and the command does not pass it: every trial would train without it.`,
        didYouMean(name, others),
      ]
        .filter((part) => part !== undefined)
        .join(' '),
    );
}

/** All files of the bundle; undefined when there is none here, or too much to be read for a warning. */
async function codeOf(bundle: string): Promise<string | undefined> {
  const files = await listBundle(bundle).catch(() => undefined);
  if (files === undefined || files.reduce((sum, file) => sum + file.sizeBytes, 0) > MOST_BYTES) return undefined;
  const texts = await Promise.all(files.map((file) => readFile(path.join(bundle, file.path), 'latin1')));
  return texts.join('\n');
}

function hasWord(code: string, name: string): boolean {
  const escaped = name.replace(/[^\w]/g, '\\$&').replaceAll('_', '[_-]');
  return new RegExp(`(?<![\\w])${escaped}(?![\\w])`).test(code);
}
