import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { inflateSync } from 'node:zlib';
import { makeFolder } from '../../make-folder.ts';
import type { LoginState, RemoteAnswer, RemoteCommand, RemoteShell } from '../../ssh/transport.ts';
import { DriverError } from '../driver.ts';
import { describeAnswer, fetchAnswer, putAnswer, shellAnswer } from './answers.ts';
import { type ControlOptions, control, type TaskTarget, taskEnd, withFunction } from './control-tasks.ts';
import { AmbiguousAnswerError } from './http-errors.ts';
import { sleep } from './request-budget.ts';
import { packPayload } from './serialize.ts';

/** Bytes of one piece of a file. */
const PIECE_BYTES = 2_000_000;
const MAX_STDOUT_BYTES = 4_000_000;

export interface TaskShellOptions {
  /** Seconds between polls, at most. */
  readonly pollSeconds: number;
  /** Seconds that a command may wait for a worker, beyond its own time. */
  readonly queueSeconds: number;
}

/**
 * A remote shell whose commands are Globus Compute tasks: what `holdfast deploy` needs on a system without ssh. A script runs on a worker, thus on a
 * compute node. As with every remote shell, `unknown` means that it may have run: a command is never sent twice by itself.
 */
export function createTaskShell(target: TaskTarget, options: TaskShellOptions): RemoteShell {
  const since = new Date().toISOString();
  let node: string | undefined;
  const asked = (signal?: AbortSignal): ControlOptions => ({
    pollSeconds: options.pollSeconds,
    timeoutSeconds: options.queueSeconds,
    ...(signal ? { signal } : {}),
  });

  async function run(command: RemoteCommand, signal?: AbortSignal): Promise<RemoteAnswer> {
    const seconds = command.timeoutSeconds ?? 60;
    const request = {
      op: 'shell',
      script: command.script,
      args: command.args ?? [],
      input: Buffer.from(command.input ?? '').toString('base64'),
      seconds,
      bytes: Math.min(command.maxStdoutBytes ?? MAX_STDOUT_BYTES, MAX_STDOUT_BYTES),
    };
    let id: string;
    try {
      const submitted = await withFunction(target, (functionId) =>
        target.client.submit(
          {
            endpointId: target.endpointId,
            functionId,
            payloads: [packPayload([request])],
            ...(target.userEndpointConfig === undefined ? {} : { userEndpointConfig: target.userEndpointConfig }),
          },
          { repeatable: false, ...(signal ? { signal } : {}) },
        ),
      );
      id = submitted.taskIds[0] as string;
    } catch (error) {
      if (error instanceof AmbiguousAnswerError) return { kind: 'unknown', why: error.message };
      throw error;
    }
    const deadline = performance.now() + (seconds + options.queueSeconds) * 1000;
    for (let wait = 0.25; ; wait = Math.min(wait * 1.5, options.pollSeconds)) {
      const end = taskEnd((await target.client.tasks([id], signal)).get(id));
      if (end?.kind === 'value') return readAnswer(end.value);
      if (end?.kind === 'failed') return { kind: 'unknown', why: `The task failed: ${end.text.trim().split('\n').at(-1)}` };
      if (end?.kind === 'lost') return { kind: 'unknown', why: `The task's result was lost: ${end.message}` };
      if (performance.now() > deadline)
        return { kind: 'unknown', why: `The task has not run within ${options.queueSeconds} s: the endpoint has no free worker.` };
      await sleep(wait * 1000, signal);
    }
  }

  function readAnswer(value: unknown): RemoteAnswer {
    const parsed = shellAnswer.safeParse(value);
    if (!parsed.success) return { kind: 'unknown', why: 'The task answered something unexpected.' };
    const { code, stdout, stderr, cut, host } = parsed.data;
    node = host;
    if (code === null) return { kind: 'unknown', why: 'The command took longer than its time and was ended.' };
    if (cut) return { kind: 'unknown', why: 'The output is larger than allowed.' };
    return { kind: 'exited', code, stdout: Buffer.from(stdout, 'base64'), stderr: Buffer.from(stderr, 'base64') };
  }

  return {
    run,

    async upload(localFile, remoteFile, { mode = 0o644, signal, progress } = {}) {
      const content = await readFile(localFile);
      const sha256 = createHash('sha256').update(content).digest('hex');
      const count = Math.max(1, Math.ceil(content.length / PIECE_BYTES));
      const request = { op: 'put', path: remoteFile, sha256, count, mode };
      for (let round = 0; round < 6; round++) {
        const [state] = await control(target, [request], putAnswer, asked(signal));
        progress?.(state?.state === 'there' ? content.length : 0, content.length);
        if (state?.state === 'there') return;
        const pieces = (state?.missing ?? []).map((index) => ({
          ...request,
          index,
          data: content.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES).toString('base64'),
        }));
        await control(target, pieces, putAnswer, asked(signal));
      }
      throw new DriverError('transport', 'HF-GLOBUS-UPLOAD', `file ${localFile} did not arrive whole at ${remoteFile}. It is sent again.`);
    },

    async download(remoteFile, localFile, { sha256, maxBytes, signal, progress } = {}) {
      const [found] = await control(target, [{ op: 'describe', path: remoteFile }], describeAnswer, asked(signal));
      const size = found?.size ?? null;
      if (size === null)
        throw new DriverError('refused', 'HF-GLOBUS-NO-FILE', `file ${remoteFile} does not exist on the endpoint. Check its name.`);
      if (maxBytes !== undefined && size > maxBytes)
        throw new DriverError(
          'refused',
          'HF-SSH-TOO-LARGE',
          `file ${remoteFile} has ${size} bytes, more than ${maxBytes}. Fetch it by hand.`,
        );
      const [folder, name] = [dirname(remoteFile), remoteFile.slice(dirname(remoteFile).length).replace(/^\//, '')];
      const pieces: Buffer[] = [];
      for (let offset = 0; offset < size; offset += PIECE_BYTES) {
        const [answer] = await control(
          target,
          [{ op: 'fetch', directory: folder, pieces: [[name, offset, PIECE_BYTES]] }],
          fetchAnswer,
          asked(signal),
        );
        pieces.push(inflateSync(Buffer.from(answer?.pieces[0] ?? '', 'base64')));
        progress?.(Math.min(offset + PIECE_BYTES, size), size);
      }
      const content = Buffer.concat(pieces);
      if (createHash('sha256').update(content).digest('hex') !== (sha256 ?? found?.sha256)) {
        throw new DriverError(
          'transport',
          'HF-GLOBUS-FILE-DAMAGED',
          `file ${remoteFile} does not have the sha256 it should have. It is fetched again.`,
        );
      }
      await makeFolder(dirname(localFile));
      await writeFile(`${localFile}.part`, content);
      await rename(`${localFile}.part`, localFile);
    },

    state: (): LoginState => ({ kind: 'ready', since, ...(node === undefined ? {} : { node }) }),

    async check() {
      await target.client.version();
      return this.state();
    },

    close: async () => undefined,
  };
}
