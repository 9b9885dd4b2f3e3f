import { CliError } from './exit-codes.ts';

/** Why nothing can be written to a place that an option names, by errno. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'you may not write there',
  EPERM: 'you may not write there',
  EROFS: 'it lies on a read-only file system',
  ENOTDIR: 'a file stands where a folder would have to be',
  EEXIST: 'a file stands where a folder would have to be',
  EISDIR: 'that is a folder, no file',
  ENOENT: 'nothing can be made there',
  ENOTSUP: 'nothing can be made there',
  ENAMETOOLONG: 'the name is too long',
};

/** Writes to a place that the user named. One that cannot be written to is a wrong value of that option; the message names both. */
export async function writingTo<T>(option: string, place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const reason = whyUnwritable(error);
    if (reason === undefined) throw error;
    throw new CliError('usage', 'HF-OUT', `${option} ${place} cannot be written: ${reason}. Name another place.`, { cause: error });
  }
}

/** Why a place cannot be written to, where that is the choice of the place; undefined for all else (a full disk). */
export function whyUnwritable(error: unknown): string | undefined {
  return REASONS[errnoOf(error)];
}

/** Of the error itself or of what it explains. */
function errnoOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  return 'code' in error && String(error.code) in REASONS ? String(error.code) : errnoOf(error.cause);
}
