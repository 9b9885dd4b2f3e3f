import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DriverError } from '../../src/systems/driver.ts';
import { randomFrom, SEED } from '../support/random.ts';
import { logIn, TRANSPORTS } from '../support/ssh-suite.ts';
import { removeSshd, startSshd, type TestSshd, whyNoSshd } from '../support/sshd.ts';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts';

const reason = whyNoSshd();
let sshd: TestSshd;
let proxy: TcpProxy;
let here: string;
let there: string;

beforeAll(async () => {
  if (reason) return;
  sshd = await startSshd();
  proxy = await startProxy(sshd.port);
  writeFileSync(join(sshd.home, '.ssh', 'known_hosts'), `[127.0.0.1]:${proxy.port} ${sshd.hostKey()}\n`);
  here = mkdtempSync(join(tmpdir(), 'hf-here-'));
  there = mkdtempSync(join(tmpdir(), 'hf-there-'));
});
afterAll(async () => {
  if (reason) return;
  await proxy.close();
  await removeSshd(sshd);
  for (const folder of [here, there]) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

function makeFile(name: string, bytes: number): { file: string; content: Buffer; sha256: string } {
  const content = randomBytes(bytes);
  const file = join(here, name);
  writeFileSync(file, content);
  return { file, content, sha256: createHash('sha256').update(content).digest('hex') };
}

const session = (transport: (typeof TRANSPORTS)[number], system = 'copies') => {
  proxy.cutAfter(Number.POSITIVE_INFINITY, 'toServer');
  return logIn(sshd, transport, { port: proxy.port, system });
};

describe.skipIf(reason !== undefined).each(TRANSPORTS)('copies over %s', (transport) => {
  it.each([0, 1, 32_768, 300_001])('%i bytes go there and back unchanged, with odd names and new folders', async (bytes) => {
    const { shell, end } = await session(transport);
    const { file, content } = makeFile(`up ${bytes} [x]*'"$.bin`, bytes);
    const remote = join(there, transport, `a b/[c]*'"é#\\`, `${bytes}`);
    await shell.upload(file, remote, { mode: 0o640 });
    expect(readFileSync(remote).equals(content)).toBe(true);
    expect(statSync(remote).mode & 0o777).toBe(0o640);
    const back = join(here, transport, `back ${bytes}`);
    await shell.download(remote, back);
    expect(readFileSync(back).equals(content)).toBe(true);
    await end();
  });

  it('an upload cut at every 64 KB goes on where it ended and sends nothing much twice', async () => {
    const { file, content } = makeFile(`cut-${transport}`, 512 * 1024);
    const remote = join(there, transport, 'cut');
    let cuts = 0;
    const before = proxy.bytes().toServer;
    for (let turn = 0; ; turn++) {
      const { shell, end } = await session(transport, `up${turn}`);
      const sentBefore = proxy.bytes().toServer;
      if (turn < 8) proxy.cutAfter(64 * 1024, 'toServer');
      const error = await shell.upload(file, remote).then(
        () => undefined,
        (caught: unknown) => caught,
      );
      await end();
      if (error === undefined) break;
      cuts++;
      expect(error).toBeInstanceOf(DriverError);
      expect((error as DriverError).class).not.toBe('refused');
      expect(existsSync(remote)).toBe(false);
      expect(proxy.bytes().toServer - sentBefore).toBeLessThan(90 * 1024);
      expect(turn).toBeLessThan(20);
    }
    expect(cuts).toBeGreaterThanOrEqual(7);
    expect(readFileSync(remote).equals(content)).toBe(true);
    // 512 KiB plus, per cut, what was under way and the session's own bytes.
    expect(proxy.bytes().toServer - before).toBeLessThan(1_100 * 1024);
    expect(readdirSync(join(there, transport)).filter((name) => name.endsWith('.part'))).toEqual([]);
  }, 120_000);

  it(`a download cut at random bytes (HOLDFAST_SEED=${SEED}) ends whole or not at all`, async () => {
    const { file, content, sha256 } = makeFile(`down-${transport}`, 400_000);
    const target = join(here, transport, 'down');
    const random = randomFrom(SEED);
    let cuts = 0;
    for (let turn = 0; ; turn++) {
      const { shell, end } = await session(transport, `down${turn}`);
      if (turn < 6) proxy.cutAfter(1_000 + Math.floor(random() * 100_000), 'toClient');
      const error = await shell.download(file, target, { sha256 }).then(
        () => undefined,
        (caught: unknown) => caught,
      );
      await end();
      if (error === undefined) break;
      cuts++;
      expect(error).toMatchObject({ name: 'DriverError', class: expect.stringMatching(/transport|needs_login/) });
      expect(existsSync(target)).toBe(false);
      expect(turn).toBeLessThan(20);
    }
    expect(cuts).toBeGreaterThan(2);
    expect(readFileSync(target).equals(content)).toBe(true);
  }, 120_000);

  it('a file that is there already is not sent again', async () => {
    const { shell, end } = await session(transport);
    const { file } = makeFile(`same-${transport}`, 200_000);
    const remote = join(there, transport, 'same');
    await shell.upload(file, remote);
    const before = proxy.bytes().toServer;
    await shell.upload(file, remote);
    expect(proxy.bytes().toServer - before).toBeLessThan(20_000);
    await end();
  });

  it('a part that holds other bytes is found out by its checksum and sent anew', async () => {
    const { shell, end } = await session(transport);
    const { file, content, sha256 } = makeFile(`part-${transport}`, 100_000);
    const remote = join(there, transport, 'parted');
    writeFileSync(`${remote}.${sha256.slice(0, 16)}.part`, randomBytes(40_000));
    await shell.upload(file, remote);
    expect(readFileSync(remote).equals(content)).toBe(true);
    await end();
  });

  it('a download with another checksum than promised is refused and leaves no file', async () => {
    const { shell, end } = await session(transport);
    const { file } = makeFile(`wrong-${transport}`, 5_000);
    const target = join(here, transport, 'wrong');
    await expect(shell.download(file, target, { sha256: 'a'.repeat(64) })).rejects.toMatchObject({ code: 'HF-SSH-CORRUPT' });
    expect(existsSync(target)).toBe(false);
    await end();
  });

  it('a log that grows while it is fetched comes as it was when it was asked for', async () => {
    const { shell, end } = await session(transport);
    const { file, content } = makeFile(`log-${transport}`, 200_000);
    const growing = setInterval(() => writeFileSync(file, randomBytes(10_000), { flag: 'a' }), 2);
    const target = join(here, transport, 'log');
    await shell.download(file, target).finally(() => clearInterval(growing));
    const got = readFileSync(target);
    expect(got.length).toBeGreaterThanOrEqual(content.length);
    expect(readFileSync(file).subarray(0, got.length).equals(got)).toBe(true);
    await end();
  });

  it('too large, missing and forbidden files are refused for good, in words', async () => {
    const { shell, end } = await session(transport);
    const { file } = makeFile(`large-${transport}`, 5_000);
    const target = join(here, transport, 'large');
    await expect(shell.download(file, target, { maxBytes: 4_999 })).rejects.toMatchObject({ code: 'HF-SSH-TOO-LARGE', class: 'refused' });
    await expect(shell.download(join(there, 'nowhere'), target)).rejects.toMatchObject({
      class: 'refused',
      message: expect.stringContaining('nowhere'),
    });
    await expect(shell.upload(file, there)).rejects.toMatchObject({ class: 'refused', message: expect.stringContaining('folder') });
    await expect(shell.upload(join(here, 'nowhere'), join(there, 'x'))).rejects.toMatchObject({ class: 'refused' });
    await end();
  });

  it('two uploads of one file at once do not disturb each other', async () => {
    const { shell, end } = await session(transport);
    const { file, content } = makeFile(`twice-${transport}`, 150_000);
    const remote = join(there, transport, 'twice');
    await Promise.all([shell.upload(file, remote), shell.upload(file, remote)]);
    expect(readFileSync(remote).equals(content)).toBe(true);
    await end();
  });
});

describe.skipIf(reason !== undefined)(`commands and copies in turn over ssh2, cut again and again (HOLDFAST_SEED=${SEED})`, () => {
  it('each ends as done, unknown or an error of the connection, and none waits for ever', async () => {
    const { shell, end } = await session('ssh2', 'again');
    const random = randomFrom(SEED);
    const { file, content } = makeFile('again', 5_000);
    let done = 0;
    for (let turn = 0; turn < 60; turn++) {
      if (turn < 50) proxy.cutAfter(1 + Math.floor(random() * 12_000), random() < 0.5 ? 'toServer' : 'toClient');
      else proxy.cutAfter(Number.POSITIVE_INFINITY, 'toServer');
      const work =
        turn % 2 === 0
          ? shell.upload(file, join(there, `again-${turn}`))
          : shell.run({ script: 'cat; head -c 5000 /dev/zero', input: 'x'.repeat(3_000) });
      const outcome = await Promise.race([
        Promise.resolve(work).then(
          () => 'settled',
          (error: unknown) => error,
        ),
        sleep(40_000, 'waits for ever', { ref: false }),
      ]);
      expect(outcome, `turn ${turn}`).not.toBe('waits for ever');
      if (outcome === 'settled') done++;
      else expect(outcome).toMatchObject({ name: 'DriverError', class: 'transport' });
      const state = shell.state();
      if (state.kind === 'unreachable') await sleep(Math.min(2_000, state.retrySeconds * 1_000));
    }
    expect(done).toBeGreaterThan(5);
    expect(readFileSync(join(there, 'again-58')).equals(content)).toBe(true);
    await end();
  }, 180_000);
});
