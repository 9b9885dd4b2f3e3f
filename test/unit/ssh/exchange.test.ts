import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MarkedOutput, makeExchange } from '../../../src/ssh/exchange.ts';
import { localCarrier } from '../../../src/ssh/local-carrier.ts';
import { makeRemoteShell } from '../../../src/ssh/shell.ts';
import type { RemoteAnswer, RemoteCommand } from '../../../src/ssh/transport.ts';

const SHELLS = [
  { shell: '/bin/bash', rc: '.bashrc', option: { BASH_ENV: '.bashrc' } },
  { shell: '/bin/dash', rc: '.profile', option: { ENV: '.profile' } },
  { shell: '/bin/zsh', rc: '.zshenv', option: {} },
  { shell: '/bin/tcsh', rc: '.tcshrc', option: {} },
];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hf-exchange-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

/** A home folder whose rc file is as noisy as any: prints, prints an error, echoes commands, reads stdin without end in sight. */
function noisyHome(entry: (typeof SHELLS)[number]): NodeJS.ProcessEnv {
  const home = mkdtempSync(join(folder, 'home-'));
  const echo = entry.rc === '.tcshrc' ? 'set echo' : 'set -v';
  writeFileSync(
    join(home, entry.rc),
    `${echo}\necho "Welcome! hf00:go"\necho 'module: command not found' ${entry.rc === '.tcshrc' ? '' : '>&2'}\n`,
  );
  const option = Object.fromEntries(Object.entries(entry.option).map(([name, file]) => [name, join(home, file)]));
  return { PATH: process.env.PATH, HOME: home, ...option };
}

function exited(answer: RemoteAnswer): { code: number; stdout: string; stderr: string } {
  if (answer.kind !== 'exited') throw new Error(answer.why);
  return { code: answer.code, stdout: answer.stdout.toString('utf8'), stderr: answer.stderr.toString('utf8') };
}

for (const entry of SHELLS) {
  describe.skipIf(!existsSync(entry.shell))(`with ${entry.shell} as a noisy login shell`, () => {
    it('an answer has exactly the bytes of the script, its exit status and nothing of the noise', async () => {
      const shell = makeRemoteShell(localCarrier({ shell: entry.shell, env: noisyHome(entry) }));
      const answer = await shell.run({ script: 'printf "a\\n\\nb"; printf e >&2; exit 7' });
      expect(exited(answer)).toEqual({ code: 7, stdout: 'a\n\nb', stderr: 'e' });
    });

    it('arguments and input arrive unchanged, whatever they contain', async () => {
      const shell = makeRemoteShell(localCarrier({ shell: entry.shell, env: noisyHome(entry) }));
      const words = fc.array(fc.string({ unit: fc.constantFrom("'", '"', '\\', '$', '!', '\n', ' ', '*', 'x', 'é', '`', '#') }), {
        minLength: 1,
        maxLength: 12,
      });
      await fc.assert(
        fc.asyncProperty(words, fc.uint8Array({ maxLength: 3_000 }), async (args, input) => {
          const script = 'printf "%s\\0" "$@"; cat';
          const answer = await shell.run({ script, args, input: Buffer.from(input) });
          if (answer.kind !== 'exited') throw new Error(answer.why);
          const head = Buffer.from(args.map((arg) => `${arg}\0`).join(''));
          expect(answer.stdout.equals(Buffer.concat([head, input]))).toBe(true);
        }),
        { numRuns: 15 },
      );
    });
  });
}

it('the line for the login shell has nothing in it that any login shell would expand inside single quotes', () => {
  const { line } = makeExchange({ script: "echo 'it''s'!\n", args: ["'\n!"], input: 'x' });
  expect(line).toMatch(/^exec \/bin\/sh -c '[^'!\\\n]*'$/);
});

it('a script with a syntax error is an answer with code 2, not an unknown', async () => {
  const answer = await makeRemoteShell(localCarrier()).run({ script: 'if then' });
  expect(exited(answer).code).toBe(2);
});

it('the output of a process that stays in the background does not hold the answer back', async () => {
  const started = performance.now();
  const answer = await makeRemoteShell(localCarrier()).run({ script: 'sleep 20 & echo done' });
  expect(exited(answer).stdout).toBe('done\n');
  expect(performance.now() - started).toBeLessThan(15_000);
});

it('a command without an answer in its time is unknown', async () => {
  const answer = await makeRemoteShell(localCarrier()).run({ script: 'sleep 3', timeoutSeconds: 0.5 });
  expect(answer.kind).toBe('unknown');
});

it('a cancelled command is unknown when it was sent and an error when it was not', async () => {
  const shell = makeRemoteShell(localCarrier());
  const abort = new AbortController();
  const begun = join(folder, 'begun');
  const running = shell.run({ script: ': >"$1"; sleep 30', args: [begun] }, abort.signal);
  while (!existsSync(begun)) await new Promise((resolve) => setTimeout(resolve, 20));
  abort.abort();
  expect((await running).kind).toBe('unknown');
  await expect(shell.run({ script: 'true' }, abort.signal)).rejects.toMatchObject({ code: 'HF-SSH-ABORTED' });
});

it('an answer that is longer than allowed is unknown', async () => {
  const answer = await makeRemoteShell(localCarrier()).run({ script: 'head -c 100000 /dev/zero', maxStdoutBytes: 1_000 });
  expect(answer.kind).toBe('unknown');
});

it('a login shell that ends before ours starts is an error that says so, and nothing was run', async () => {
  const home = mkdtempSync(join(folder, 'home-'));
  writeFileSync(join(home, '.bashrc'), 'echo "fork: Resource temporarily unavailable" >&2; exit 254\n');
  // An outermost bash (SHLVL below 2) whose input is a socket takes itself for one that sshd started: it reads ~/.bashrc and no BASH_ENV.
  const env = { ...process.env, HOME: home, BASH_ENV: join(home, '.bashrc') };
  const shell = makeRemoteShell(localCarrier({ shell: '/bin/bash', env }));
  await expect(shell.run({ script: `touch ${home}/ran` })).rejects.toMatchObject({
    class: 'transport',
    message: expect.stringContaining('Resource temporarily'),
  });
  expect(existsSync(join(home, 'ran'))).toBe(false);
});

it('input that cannot be kept remotely is an error and the script does not start', async () => {
  const home = join(folder, 'no-home');
  const exchange = makeExchange({ script: `touch ${folder}/ran-without-input`, input: 'x' }, 'hfword');
  // mktemp is not there: what a full /tmp looks like to the script.
  const bin = mkdtempSync(join(folder, 'bin-'));
  const out = spawnSync('/bin/sh', ['-c', exchange.line.replace("'n=", `'mktemp() { return 1; }; n=`)], {
    input: Buffer.concat([exchange.payload, exchange.input ?? Buffer.alloc(0)]),
    env: { PATH: process.env.PATH, HOME: home, TMPDIR: bin },
  });
  expect(out.stdout.toString()).toContain('hfword:end tmp');
  expect(existsSync(join(folder, 'ran-without-input'))).toBe(false);
});

it('a command cut at any byte runs wholly or not at all, and never with half of its input', () => {
  const out = join(folder, 'cut');
  mkdirSync(out);
  const input = 'params: 1\nparams: 2\n';
  const exchange = makeExchange(
    { script: 'cat >"$1/$2.tmp" && mv "$1/$2.tmp" "$1/$2"; rm -f "$1/x"', args: [out, 'done'], input },
    'hfcut',
  );
  const whole = Buffer.concat([exchange.payload, Buffer.from(input)]);
  for (let bytes = 0; bytes < whole.length; bytes++) {
    spawnSync('/bin/sh', ['-c', exchange.line], { input: whole.subarray(0, bytes) });
    expect(readdirSync(out), `cut after ${bytes} of ${whole.length} bytes`).toEqual([]);
  }
  spawnSync('/bin/sh', ['-c', exchange.line], { input: whole });
  expect(readFileSync(join(out, 'done'), 'utf8')).toBe(input);
}, 120_000);

describe('MarkedOutput', () => {
  const command: RemoteCommand = { script: 'true' };

  it('finds the body however the bytes are cut into chunks', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.uint8Array({ maxLength: 60 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        (body, noise, sizes) => {
          const exchange = makeExchange(command, 'hfab');
          const bytes = Buffer.concat([noise, exchange.hello, body, exchange.end, Buffer.from('12\n'), Buffer.from('later')]);
          const output = new MarkedOutput(exchange, 1_000);
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const size = sizes[turn % sizes.length] ?? 1;
            output.push(bytes.subarray(at, at + size));
            at += size;
          }
          expect(output.status).toBe('12');
          expect(output.body().equals(body)).toBe(true);
        },
      ),
    );
  });

  it('has no status when the stream ends inside the end marker', () => {
    const exchange = makeExchange(command, 'hfab');
    const bytes = Buffer.concat([exchange.hello, Buffer.from('x'), exchange.end, Buffer.from('12')]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const output = new MarkedOutput(exchange, 1_000);
      output.push(bytes.subarray(0, cut));
      expect(output.status).toBeUndefined();
    }
  });
});
