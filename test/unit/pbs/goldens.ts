import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** One recorded command of a real PBS (test/fixtures/pbs/README.md). */
export interface Golden {
  readonly case: string;
  readonly client: 'master' | '23.06.06';
  readonly command: string;
  readonly exit: number;
  readonly note: string;
  readonly json?: string;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const FOLDER = new URL('../../fixtures/pbs/', import.meta.url);

function bytes(name: string | null): Buffer {
  if (name === null) return Buffer.alloc(0);
  const file = fileURLToPath(new URL(name, FOLDER));
  if (!existsSync(file)) throw new Error(`${name} is missing`);
  return readFileSync(file);
}

interface IndexRow {
  readonly case: string;
  readonly client: Golden['client'];
  readonly command: string;
  readonly exit: number;
  readonly note: string;
  readonly json?: string;
  readonly stdout: string | null;
  readonly stderr: string | null;
}

/** All recorded cases, in their order. */
export const goldens: readonly Golden[] = (JSON.parse(readFileSync(new URL('index.json', FOLDER), 'utf8')) as IndexRow[]).map((row) => ({
  ...row,
  stdout: bytes(row.stdout),
  stderr: bytes(row.stderr).toString('latin1'),
}));

/** The recorded case of one client (default master); throws when there is none. */
export function golden(name: string, client: Golden['client'] = 'master'): Golden {
  const found = goldens.find((each) => each.case === name && each.client === client);
  if (!found) throw new Error(`no golden ${name} of ${client}`);
  return found;
}

/** `timeout 8 qsub -f …` → `qsub`; `TZ=UTC qstat …` → `qstat`. */
export function program(command: string): string {
  return /\b(qsub|qstat|qdel|qselect|pbsnodes|qalter|qrls|qsig|qrerun|qhold|qmove)\b/.exec(command)?.[1] ?? '';
}
