import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../package-root.ts';

/** Our files that run on the system's login node, by name, and the hash that names their folder there. */
export interface RemoteTools {
  readonly sha256: string;
  readonly files: Readonly<Record<string, string>>;
}

const FILES = {
  'exchange.py': 'pbs/exchange.py',
  'submit.sh': 'pbs/submit.sh',
  'agent.py': 'agent.py',
  'holdfast.py': 'holdfast.py',
} as const;

/** The files that travel to a login node, and a digest over them that names their folder there. */
export function readTools(): RemoteTools {
  const folder = join(packageRoot(), 'remote');
  const files = Object.fromEntries(Object.entries(FILES).map(([name, path]) => [name, readFileSync(join(folder, path), 'utf8')]));
  const hash = createHash('sha256');
  for (const [name, text] of Object.entries(files)) hash.update(`${name}\0${text}\0`);
  return { sha256: hash.digest('hex').slice(0, 16), files };
}

/** Writes the files that come as JSON on stdin into a folder that appears whole or not at all. Python 3.6, standard library. */
export const INSTALL_PROGRAM = `
import json, os, shutil, sys
target = sys.argv[1]
temporary = "%s.tmp.%d" % (target, os.getpid())
os.makedirs(temporary)
for name, text in json.loads(sys.stdin.buffer.read().decode("utf-8")).items():
    with open(os.path.join(temporary, name), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
try:
    os.rename(temporary, target)
except OSError:
    shutil.rmtree(temporary, ignore_errors=True)
    sys.exit(0 if os.path.isdir(target) else 1)
`;
