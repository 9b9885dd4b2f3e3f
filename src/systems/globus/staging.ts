import type { Archive } from '../spool/archive.ts';
import { stageAnswer } from './answers.ts';
import { type ControlOptions, control, type TaskTarget } from './control-tasks.ts';

/** Bytes of one piece: three, in base64, stay below the limit of one submission. */
const PIECE_BYTES = 2_000_000;

/**
 * Brings an archive to the endpoint's file system in pieces, each by content hash, and has it unpacked at `<base>/staged/<name>`. Resumes where an
 * earlier call ended; when it is there already, one small task says so. Returns the folder.
 */
export async function stageArchive(
  target: TaskTarget,
  base: string,
  archive: Archive,
  what: string,
  options: ControlOptions,
): Promise<string> {
  const count = Math.max(1, Math.ceil(archive.bytes.length / PIECE_BYTES));
  const request = { op: 'stage', base, name: archive.name, sha256: archive.sha256, count };
  for (let round = 0; ; round++) {
    const [state] = await control(target, [request], stageAnswer, options);
    if (state?.state === 'staged') return state.path;
    const missing = state?.missing ?? [];
    if (round > 5) throw new Error(`staging of ${what} does not come to an end`);
    options.progress?.(`staging ${what}: ${missing.length} of ${count} pieces to send (${archive.bytes.length} bytes)`);
    const pieces = missing.map((index) => ({
      ...request,
      index,
      data: archive.bytes.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES).toString('base64'),
    }));
    const answers = await control(target, pieces, stageAnswer, options);
    const done = answers.find((answer) => answer.state === 'staged');
    if (done?.state === 'staged') return done.path;
  }
}
