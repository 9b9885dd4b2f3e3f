import { DriverError } from '../driver.ts';
import { readAgentSource } from '../spool/agent-files.ts';
import { type Archive, bundleArchive, packArchive } from '../spool/archive.ts';

/** Above this, packed, a bundle should be a data set or a repository on the system: it travels through a web service in pieces of 2 MB. */
const MAX_BYTES = 200_000_000;

/** The training code. Throws DriverError refused (HF-BUNDLE-*) when it is not there or too large. */
export async function trainingArchive(folder: string): Promise<Archive> {
  const archive = await bundleArchive(folder);
  if (archive.bytes.length > MAX_BYTES) {
    throw new DriverError(
      'refused',
      'HF-BUNDLE-TOO-LARGE',
      `Training code has ${Math.round(archive.bytes.length / 1e6)} MB, Globus Compute carries at most ${MAX_BYTES / 1e6}. Keep data out of it: name it in data.dir.`,
    );
  }
  return archive;
}

/** The agent and the helper that trainings import. */
export async function agentArchive(): Promise<Archive> {
  const source = await readAgentSource();
  return packArchive(
    source.sha256,
    source.files.map(({ name, text }) => ({ path: name, content: Buffer.from(text), isExecutable: true })),
  );
}
