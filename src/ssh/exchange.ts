import { randomBytes } from 'node:crypto';
import { quoteCommand } from './quote.ts';
import type { RemoteCommand } from './transport.ts';

/**
 * How one command travels. The login shell sees one constant line without a quote, `!`, backslash or line break inside its single quotes, so
 * that bash, zsh, dash, tcsh and fish read it alike. That line starts /bin/sh, which says a random word on both outputs, and only then the
 * script is sent on its stdin: rc files that read stdin or print get nothing of ours, and no word means that nothing was run. The script is
 * evaluated only when its last line is the random word, so a cut never runs half of it; input is spooled and counted before the script starts.
 */
export interface Exchange {
  /** For the login shell. */
  readonly line: string;
  /** Sent after the hello, then `input`, then the end of stdin. */
  readonly payload: Buffer;
  readonly input: Buffer | undefined;
  readonly hello: Buffer;
  readonly end: Buffer;
}

const MAX_SCRIPT_BYTES = 100_000;

/** Throws RangeError for a script or arguments that cannot travel. */
export function makeExchange(command: RemoteCommand, word: string = `hf${randomBytes(12).toString('hex')}`): Exchange {
  const input = command.input === undefined ? undefined : Buffer.from(command.input);
  const payload = Buffer.from(remoteScript(command, word, input?.length));
  for (const text of [command.script, ...(command.args ?? [])]) {
    if (Buffer.byteLength(text) > MAX_SCRIPT_BYTES)
      throw new RangeError(
        `A remote script or argument has ${Buffer.byteLength(text)} bytes (at most ${MAX_SCRIPT_BYTES}). Send large things as input.`,
      );
  }
  // The word is put together remotely: a login shell that echoes its commands (tcsh `set echo`) must not look like the hello.
  const read = `s="$(dd bs=1 count=${payload.length} 2>/dev/null)"; case "$s" in *"#$n") eval "$s";; esac`;
  return {
    line: `exec /bin/sh -c 'n=${word}:; echo "$n"go; echo "$n"go >&2; ${read}'`,
    payload,
    input,
    hello: Buffer.from(`${word}:go\n`),
    end: Buffer.from(`${word}:end `),
  };
}

function remoteScript(command: RemoteCommand, word: string, inputBytes: number | undefined): string {
  const run = quoteCommand(['/bin/sh', '-c', command.script, 'holdfast', ...(command.args ?? [])]);
  const body =
    inputBytes === undefined
      ? [`${run} </dev/null; c=$?`]
      : [
          // biome-ignore lint/suspicious/noTemplateCurlyInString: the remote shell's own variable
          't=; for d in "${TMPDIR:-/tmp}" /tmp "$HOME"; do t="$(umask 077; mktemp "$d/hf.XXXXXXXX" 2>/dev/null)" && break; done',
          'c=tmp; [ -n "$t" ] && cat >"$t" 2>/dev/null',
          `if [ -n "$t" ] && [ "$(wc -c <"$t")" -eq ${inputBytes} ]; then exec 3<"$t"; rm -f "$t"; ${run} <&3 3<&-; c=$?; elif [ -n "$t" ]; then rm -f "$t"; fi`,
        ];
  return [...body, 'echo "$n"end $c; echo "$n"end $c >&2', `#${word}:`].join('\n');
}

/** One output stream: drops what comes before the hello, keeps what comes before the end word. */
export class MarkedOutput {
  private readonly hello: Buffer;
  private readonly end: Buffer;
  private readonly maxBytes: number;
  private readonly chunks: Buffer[] = [];
  private kept = 0;
  private tail: Buffer = Buffer.alloc(0);
  hasBegun = false;
  hasOverflowed = false;
  /** The word after the end marker: an exit status, or `tmp`. */
  status: string | undefined;
  /** What came before the hello, its last 2,000 bytes. */
  noise: Buffer = Buffer.alloc(0);

  constructor(exchange: Exchange, maxBytes: number) {
    this.hello = exchange.hello;
    this.end = exchange.end;
    this.maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    if (this.status !== undefined) return;
    if (!this.hasBegun) {
      const seen = Buffer.concat([this.noise, chunk]);
      const at = seen.indexOf(this.hello);
      if (at < 0) {
        this.noise = seen.subarray(Math.max(0, seen.length - 2_000));
        return;
      }
      this.hasBegun = true;
      this.noise = seen.subarray(0, at);
      this.keep(seen.subarray(at + this.hello.length));
      return;
    }
    this.keep(chunk);
  }

  /** The bytes between the markers (as far as they came, and at most `maxBytes`). */
  body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  private keep(chunk: Buffer): void {
    const seen = Buffer.concat([this.tail, chunk]);
    const at = seen.indexOf(this.end);
    const lineEnd = at < 0 ? -1 : seen.indexOf('\n', at);
    if (lineEnd >= 0) {
      this.add(seen.subarray(0, at));
      this.status = seen.subarray(at + this.end.length, lineEnd).toString('latin1');
      return;
    }
    const safe = at >= 0 ? at : Math.max(0, seen.length - this.end.length);
    this.add(seen.subarray(0, safe));
    this.tail = seen.subarray(safe);
  }

  private add(part: Buffer): void {
    const room = this.maxBytes - this.kept;
    if (part.length > room) this.hasOverflowed = true;
    const taken = part.subarray(0, Math.max(0, room));
    if (taken.length === 0) return;
    this.kept += taken.length;
    this.chunks.push(Buffer.from(taken));
  }
}
