import { rename, rm, stat, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../make-folder.ts';
import type { DriverError } from '../systems/driver.ts';
import type { FileCopy } from './carrier.ts';
import { sshError } from './errors.ts';
import { hashFile } from './local-hash.ts';
import type { DownloadOptions, RemoteAnswer, RemoteCommand, RemoteShell, UploadOptions } from './transport.ts';

interface Put {
  readonly shell: Pick<RemoteShell, 'run'>;
  readonly put: (copy: FileCopy) => Promise<void>;
}
interface Get {
  readonly shell: Pick<RemoteShell, 'run'>;
  readonly get: (copy: FileCopy) => Promise<void>;
}

/** Slowest disk that a remote checksum is expected to read from, bytes per second. */
const HASH_BYTES_PER_SECOND = 20e6;

/** POSIX sh: `sha256 FILE` prints 64 hex digits with whatever the system has. */
export const SH_SHA256 = `sha256() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$1" | cut -c1-64
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256 <"$1" | cut -c1-64
  else python3 -c 'import hashlib,sys
h=hashlib.sha256()
f=open(sys.argv[1],"rb")
for b in iter(lambda:f.read(1<<20),b""): h.update(b)
print(h.hexdigest())' "$1"
  fi
}
`;

/** $1 target, $2 part, $3 sha256, $4 size: makes the folder; prints \`same\`, or the size of the part that an earlier call left. */
const PROBE_UPLOAD = `${SH_SHA256}
mkdir -p -- "$(dirname -- "$1")" || exit 4
[ -d "$1" ] && { echo "it is a folder" >&2; exit 4; }
if [ -f "$1" ] && [ "$(wc -c <"$1")" -eq "$4" ] && [ "$(sha256 "$1")" = "$3" ]; then rm -f -- "$2"; echo same; exit 0; fi
have=0; [ -f "$2" ] && have="$(wc -c <"$2")"
[ "$have" -le "$4" ] || { rm -f -- "$2"; have=0; }
echo $have`;

/** $1 target, $2 part, $3 sha256, $4 mode: renames the part into place when it is whole, removes it when it is not. */
const FINISH_UPLOAD = `${SH_SHA256}
[ "$(sha256 "$2")" = "$3" ] || { rm -f -- "$2"; echo corrupt; exit 0; }
chmod "$4" -- "$2" && { sync -- "$2" 2>/dev/null || :; } && mv -f -- "$2" "$1" && echo whole`;

/** Uploads of one target wait for each other within this process: they share the part's name, so that a later one resumes an earlier one. */
const uploadsUnderWay = new Map<string, Promise<void>>();

/** See RemoteShell.upload. */
export async function uploadFile(via: Put, localFile: string, remoteFile: string, options: UploadOptions): Promise<void> {
  requireAbsolute(remoteFile);
  const before = uploadsUnderWay.get(remoteFile) ?? Promise.resolve();
  const mine = before.catch(() => undefined).then(() => uploadAlone(via, localFile, remoteFile, options));
  uploadsUnderWay.set(remoteFile, mine);
  try {
    await mine;
  } finally {
    if (uploadsUnderWay.get(remoteFile) === mine) uploadsUnderWay.delete(remoteFile);
  }
}

async function uploadAlone(via: Put, localFile: string, remoteFile: string, options: UploadOptions): Promise<void> {
  const { sha256, sizeBytes } = await hashFile(localFile).catch((cause: unknown) => {
    throw sshError('HF-SSH-REMOTE-FILE', `${localFile} cannot be read (${String((cause as Error).message)}). Check the path.`, cause);
  });
  const part = `${remoteFile}.${sha256.slice(0, 16)}.part`;
  const signal = options.signal ?? new AbortController().signal;
  const hashSeconds = 60 + sizeBytes / HASH_BYTES_PER_SECOND;
  for (let attempt = 1; ; attempt++) {
    const probe = await ask(
      via.shell,
      { script: PROBE_UPLOAD, args: [remoteFile, part, sha256, String(sizeBytes)], timeoutSeconds: hashSeconds },
      signal,
    );
    if (probe.code !== 0) throw remoteFileError('be written', remoteFile, probe);
    if (probe.text === 'same') {
      options.progress?.(sizeBytes, sizeBytes);
      return;
    }
    const offset = Number(probe.text);
    if (!Number.isInteger(offset)) throw remoteFileError('be written', remoteFile, probe);
    if (offset < sizeBytes || sizeBytes === 0)
      await via.put({
        localFile,
        remoteFile: part,
        offset,
        size: sizeBytes,
        signal,
        progress: (bytes) => options.progress?.(bytes, sizeBytes),
      });
    const mode = (options.mode ?? 0o644).toString(8);
    const end = await ask(
      via.shell,
      { script: FINISH_UPLOAD, args: [remoteFile, part, sha256, mode], timeoutSeconds: hashSeconds },
      signal,
    );
    if (end.text === 'whole') return;
    if (end.text !== 'corrupt') throw remoteFileError('be written', remoteFile, end);
    if (attempt === 2)
      throw sshError(
        'HF-SSH-CORRUPT',
        `${remoteFile} arrived twice with another checksum than ${localFile} has. Did the local file change meanwhile? It is tried again.`,
      );
  }
}

/** $1 file: prints size and sha256 of what is there now. A log that grows keeps its first bytes. */
const PROBE_DOWNLOAD = `${SH_SHA256}
[ -d "$1" ] && { echo "it is a folder" >&2; exit 4; }
n="$(wc -c <"$1")" || exit 4
[ -n "$2" ] && [ "$n" -gt "$2" ] && { echo "$n -"; exit 0; }
if [ -n "$3" ]; then echo $n "$3"; else echo $n "$(head -c "$n" -- "$1" | { sha256 /dev/stdin; })"; fi`;

/** See RemoteShell.download. */
export async function downloadFile(via: Get, remoteFile: string, localFile: string, options: DownloadOptions): Promise<void> {
  requireAbsolute(remoteFile);
  const signal = options.signal ?? new AbortController().signal;
  for (let attempt = 1; ; attempt++) {
    const args = [remoteFile, options.maxBytes === undefined ? '' : String(options.maxBytes), options.sha256 ?? ''];
    const probe = await ask(via.shell, { script: PROBE_DOWNLOAD, args, timeoutSeconds: 600 }, signal);
    const [size = '', sha256 = ''] = probe.text.split(' ');
    if (probe.code !== 0 || !/^\d+$/.test(size)) throw remoteFileError('be read', remoteFile, probe);
    const sizeBytes = Number(size);
    if (options.maxBytes !== undefined && sizeBytes > options.maxBytes)
      throw sshError(
        'HF-SSH-TOO-LARGE',
        `${remoteFile} has ${sizeBytes} bytes (at most ${options.maxBytes} are fetched). Copy it with Globus or scp if you need it.`,
      );
    await makeFolder(dirname(localFile));
    if (await isWhole(localFile, sizeBytes, sha256)) return;
    const part = `${localFile}.${sha256.slice(0, 16)}.part`;
    const offset = await usablePart(part, sizeBytes);
    if (offset < sizeBytes || sizeBytes === 0)
      await via.get({
        localFile: part,
        remoteFile,
        offset,
        size: sizeBytes,
        signal,
        progress: (bytes) => options.progress?.(bytes, sizeBytes),
      });
    // A log may have grown since its size was asked for.
    const { size: got } = await stat(part);
    if (got > sizeBytes) await truncate(part, sizeBytes);
    if ((await hashFile(part)).sha256 === sha256) {
      await rename(part, localFile);
      return;
    }
    await rm(part, { force: true });
    if (attempt === 2)
      throw sshError(
        'HF-SSH-CORRUPT',
        `${remoteFile} has another checksum than was expected (${sha256.slice(0, 12)}…): it changed or is not complete yet. It is tried again.`,
      );
  }
}

async function isWhole(file: string, sizeBytes: number, sha256: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  return found?.isFile() === true && found.size === sizeBytes && (await hashFile(file)).sha256 === sha256;
}

async function usablePart(part: string, sizeBytes: number): Promise<number> {
  const found = await stat(part).catch(() => undefined);
  if (!found) return 0;
  if (found.size <= sizeBytes) return found.size;
  await rm(part, { force: true });
  return 0;
}

interface Told {
  readonly code: number;
  readonly text: string;
  readonly stderr: string;
}

/** These scripts are safe to repeat, so an unknown end is an error like any other of the connection. */
async function ask(shell: Pick<RemoteShell, 'run'>, command: RemoteCommand, signal: AbortSignal): Promise<Told> {
  const answer: RemoteAnswer = await shell.run(command, signal);
  if (answer.kind === 'unknown') throw sshError('HF-SSH-CUT', `A file copy was interrupted: ${answer.why}. It goes on where it ended.`);
  return { code: answer.code, text: answer.stdout.toString('utf8').trim(), stderr: answer.stderr.toString('utf8').trim() };
}

/** Full disks and quotas pass; missing files and rights do not. */
function remoteFileError(what: 'be read' | 'be written', file: string, told: Told): DriverError {
  const words = told.stderr.slice(-300) || `exit status ${told.code}`;
  const isStorage = /no space left|quota|input\/output error|stale file handle|temporarily unavailable/i.test(words);
  return isStorage
    ? sshError('HF-SSH-TRANSFER', `${file} cannot ${what} (${words}). Free space or wait for the file system; it is tried again.`)
    : sshError('HF-SSH-REMOTE-FILE', `${file} cannot ${what} (${words}). Check the path and your rights on the system.`);
}

function requireAbsolute(remoteFile: string): void {
  if (!remoteFile.startsWith('/')) throw new RangeError(`${remoteFile} is not an absolute path on the remote system. Start it with /.`);
}
