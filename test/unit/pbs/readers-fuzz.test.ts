import { describe, expect, it } from 'vitest';
import type { PbsListing } from '../../../src/systems/pbs/attributes.ts';
import { judgeJob } from '../../../src/systems/pbs/judge-job.ts';
import { readPbsJson, readQstatJson } from '../../../src/systems/pbs/qstat-json.ts';
import { readPbsText, readQstatText } from '../../../src/systems/pbs/qstat-text.ts';
import { readQueues } from '../../../src/systems/pbs/queues.ts';
import { goldens, program } from './goldens.ts';

const SEED = Number(process.env.HOLDFAST_SEED ?? 20261123);

/** xorshift32: quick and the same everywhere. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

type Reader = (answer: Buffer | string) => PbsListing | undefined;
const text: Reader = readQstatText;
const json: Reader = (answer) => {
  const read = readQstatJson(answer);
  return read.kind === 'listing' ? read.listing : undefined;
};

function endedJobs(listing: PbsListing | undefined): Set<string> {
  const jobs = [...(listing?.objects.values() ?? [])];
  return new Set(jobs.filter((job) => judgeJob(job.attributes).state === 'ended').map((job) => job.id));
}

const outputs = goldens
  .filter((each) => each.stdout.length > 0)
  .map((each) => ({ ...each, reader: each.stdout.toString('latin1').startsWith('{') ? json : text }));
const small = outputs.filter((each) => each.stdout.length < 12_000);

describe('readers on broken answers', () => {
  it('no prefix of any recorded answer, each of them, throws or ends a job that had not ended', { timeout: 600_000 }, () => {
    let cuts = 0;
    for (const each of outputs) {
      const truth = endedJobs(each.reader(each.stdout));
      const whole = each.stdout.toString();
      for (let cut = 0; cut <= whole.length; cut += 1) {
        const prefix = whole.slice(0, cut);
        for (const id of endedJobs(each.reader(prefix)))
          if (!truth.has(id)) throw new Error(`${each.case}: ${id} ended by a cut at ${cut}`);
        cuts += 1;
      }
    }
    expect(new Set(outputs.map((each) => each.case)).size).toBeGreaterThan(300);
    expect(cuts).toBe(outputs.reduce((sum, each) => sum + each.stdout.toString().length + 1, 0));
  });

  // Bounded by its own CPU time, which a busy machine does not lengthen; the wall time only ends a reader that hangs.
  it('100,000 random mutations throw nothing and end no job that had not ended', { timeout: 900_000 }, () => {
    const began = process.cpuUsage();
    const random = randomNumbers(SEED);
    const pieces = [
      'F',
      'R',
      '"',
      '\n',
      '\0',
      '\\',
      '{',
      '}',
      '\n\n',
      'job_state = F\n',
      '    job_state = F\n',
      'Job Id: 1.x\n',
      ',',
      '92',
      ' ',
      '\t',
      'é',
      '\u{1f642}',
    ];
    const prepared = small.map((each) => ({
      ...each,
      whole: each.stdout.toString(),
      truth: endedJobs(each.reader(each.stdout)),
      asked: new Set(each.reader(each.stdout)?.objects.keys() ?? []),
    }));
    for (let round = 0; round < 100_000; round += 1) {
      const each = prepared[random(prepared.length)] as (typeof prepared)[number];
      let mutated = each.whole;
      for (let change = random(3); change >= 0; change -= 1) {
        const at = random(mutated.length + 1);
        const kind = random(4);
        const head = mutated.slice(0, at);
        if (kind === 0) mutated = head + mutated.slice(at + 1 + random(4));
        else if (kind === 1) mutated = head + pieces[random(pieces.length)] + mutated.slice(at);
        else if (kind === 2) mutated = head + String.fromCharCode(random(256)) + mutated.slice(at + 1);
        else mutated = head + mutated.slice(at, at + 40) + mutated.slice(at);
      }
      const ended = endedJobs(each.reader(mutated));
      // A changed id is another job's: nobody asks for it. What counts is a job that was asked for and had not ended.
      for (const id of ended) {
        if (!each.truth.has(id) && each.asked.has(id)) throw new Error(`seed ${SEED}, round ${round}, ${each.case}: ${id} ended`);
      }
    }
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(120);
  });

  it('readers of queues and nodes take every recorded answer of every command', () => {
    for (const each of outputs) {
      for (const form of ['job', 'queue', 'server', 'node'] as const) {
        readQueues(readPbsText(each.stdout, form));
        const read = readPbsJson(each.stdout, form);
        if (read.kind === 'listing') readQueues(read.listing);
      }
    }
    expect(outputs.filter((each) => program(each.command) === 'qstat').length).toBeGreaterThan(300);
  });
});
