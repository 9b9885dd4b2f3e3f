import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { RemoteShell } from '../../ssh/transport.ts';
import { DriverError, type SystemOrder } from '../driver.ts';
import { readDone, readHeartbeats } from './read-records.ts';
import { INSTALL_PROGRAM, type RemoteTools, readTools } from './tools.ts';

/** What goes to remote/pbs/exchange.py in one remote command; done there in this order. */
export interface ExchangeRequest {
  readonly prepare?: Readonly<Record<string, unknown>>;
  readonly acks?: readonly { readonly campaign: string; readonly trial: string; readonly attempt: number }[];
  readonly orders?: readonly SystemOrder[];
  readonly submit?: readonly {
    readonly campaign: string;
    readonly pilot: string;
    readonly nodes?: number;
    readonly walltime_seconds?: number;
    /** Why its walltime is not the campaign's. */
    readonly note?: string;
    readonly certain_exits: readonly number[];
    /** Refusals for a limit of jobs: the answer then tells who holds the places. */
    readonly limit_exits: readonly number[];
  }[];
  readonly cancel?: readonly { readonly campaign: string; readonly pilot: string; readonly reason: string }[];
  readonly settle?: readonly { readonly campaign: string; readonly pilot: string; readonly end: PilotEnd }[];
  readonly look?: { readonly pilots: readonly string[]; readonly collect_bytes?: number };
  readonly close?: string;
  /** Reservations and messages of the day, and what is known of a pilot that may be submitted. */
  readonly maintenance?: { readonly command?: string; readonly motd: string; readonly campaign?: string; readonly pilot?: string };
  readonly inspect?: true;
  /** Command (words) that lists what allocations have left. */
  readonly allocation?: { readonly command: string };
  readonly fetch?: { readonly campaign: string; readonly directory: string; readonly names: readonly string[]; readonly max_bytes: number };
}

export interface PilotEnd {
  readonly kind: 'normal' | 'walltime' | 'killed' | 'never_ran' | 'failed' | 'lost';
  readonly message: string;
}

const command = z.object({ exit: z.int(), stdout: z.string(), stderr: z.string() });

const qstatAnswer = command.extend({
  /** Of a client without our form of the question: one JSON answer an id, and `stdout` is empty. */
  json: z.array(z.object({ exit: z.int(), stdout: z.string() })).optional(),
});

const submission = z.object({
  answer: z.string(),
  id: z.string().optional(),
  step: z.string().optional(),
  exit: z.int().optional(),
  stderr: z.string().optional(),
  stdout: z.string().optional(),
  key: z.string().optional(),
  given_up: z.boolean().optional(),
  /** Jobs that hold the places of a limit that was reached. */
  holders: qstatAnswer.nullable().optional(),
});
export type Submission = z.output<typeof submission>;

const end = z.object({ kind: z.enum(['normal', 'walltime', 'killed', 'never_ran', 'failed', 'lost']), message: z.string() });

const pilotRow = z.object({
  campaign: z.string(),
  pilot: z.string(),
  key: z.string(),
  about: z.object({
    slots: z.int(),
    nodes: z.int(),
    walltime_seconds: z.number(),
    note: z.string().optional(),
    /** Queues of the profile in which the job can only be because somebody moved it. */
    other_queues: z.array(z.string()).default([]),
  }),
  id: z.string().optional(),
  /** Seconds since the id was recorded, by the file system's clock. */
  age: z.number().nullable().optional(),
  submission: submission.optional(),
  /** Reason of a cancellation that was asked for. */
  cancelled: z.string().optional(),
  /** The job script's own exit status. */
  exit: z.string().optional(),
  claimed: z.boolean(),
  seen: z.boolean(),
  given_up: z.boolean().optional(),
  ended: end.optional(),
  heartbeats: z.array(z.unknown()).transform(readHeartbeats),
});
export type PilotRow = z.output<typeof pilotRow>;

const remoteFile = z.object({ path: z.string(), base64: z.string() });

const look = z.object({
  pilots: z.array(pilotRow),
  qstat: qstatAnswer.nullable(),
  /** Campaigns whose file system did not let all their pilots be read: one that is not in `pilots` may be there all the same. */
  unread: z.array(z.string()).default([]),
  done: z.array(z.looseObject({ campaign: z.string(), trial: z.string(), attempt: z.int() }).transform(readDone)),
  broken: z.array(z.object({ campaign: z.string(), name: z.string(), message: z.string() })),
  more: z.boolean(),
  /** Nodes that pilots leave idle, by campaign. */
  avoided: z.record(z.string(), z.array(z.string())).default({}),
  /** Small files of ended attempts that came along, by `<campaign>/<trial>.<attempt>`. */
  files: z.record(z.string(), z.array(remoteFile)).default({}),
});
const maintenance = z.object({
  /** Clock of the login node, seconds since the epoch: reservations are compared with this one, not with ours (R23). */
  clock: z.number(),
  reservations: command.nullable(),
  /** Lines of the message of the day about maintenance. */
  motd: z.array(z.string()),
  pilot: z
    .object({
      /** It was submitted before, or its submission is under way. */
      is_made: z.boolean(),
      walltime_seconds: z.number(),
      least_seconds: z.number().nullable(),
      across_maintenance: z.boolean(),
    })
    .nullable(),
});
export type RemoteMaintenance = z.output<typeof maintenance>;

const answer = z.object({
  version: z.literal(1),
  host: z.string(),
  user: z.string(),
  home: z.string(),
  /** Launch folder by campaign. */
  launches: z.record(z.string(), z.string()),
  /** Registered launches whose folder somebody has removed. */
  gone: z
    .array(
      z.object({
        campaign: z.string(),
        directory: z.string(),
        owner: z.record(z.string(), z.unknown()).nullable(),
        report_steps: z.array(z.number()).nullable(),
      }),
    )
    .default([]),
  prepare: z
    .object({
      answer: z.string(),
      path: z.string().optional(),
      message: z.string().optional(),
      python: z.string().optional(),
      owner: z.unknown().optional(),
    })
    .optional(),
  acks: z.array(z.boolean()),
  orders: z.array(z.enum(['offered', 'withdrawn', 'stopping', 'done', 'unknown'])),
  submit: z.array(submission),
  cancel: z.array(z.object({ answer: z.string() })),
  settle: z.array(z.object({ answer: z.string(), stderr: z.string().optional() })),
  look: look.optional(),
  maintenance: maintenance.optional(),
  close: z.object({ answer: z.string(), pilots: z.array(z.string()).optional() }).optional(),
  inspect: z.object({ queues: command, server: command }).optional(),
  fetch: z.array(remoteFile).optional(),
  /** `accounts`: those that open launches submit with. */
  allocation: z.object({ list: command, accounts: z.array(z.string()) }).optional(),
});
export type ExchangeAnswer = z.output<typeof answer>;
export type GoneLaunch = ExchangeAnswer['gone'][number];

/** Times of the submission; see remote/pbs/exchange.py. */
export interface SubmitTiming {
  readonly settleSeconds: number;
  readonly lockSeconds: number;
  readonly commandSeconds: number;
  /** Hard end of qstat. */
  readonly qstatSeconds: number;
  /** Least time between two qsub on the system, whoever asks for them (R7). */
  readonly qsubSeconds: number;
}

export const SUBMIT_TIMING: SubmitTiming = { settleSeconds: 60, lockSeconds: 60, commandSeconds: 20, qstatSeconds: 60, qsubSeconds: 5 };

/** The remote step's own exit status when its tools are not there. */
const TOOLS_MISSING = 86;
const TIMEOUT_SECONDS = 240;

/** Either an answer, or it is not known whether anything was done. */
export type Exchanged = { readonly kind: 'answer'; readonly answer: ExchangeAnswer } | { readonly kind: 'unknown'; readonly why: string };

/**
 * One remote command for everything. Installs our tools on the system on first use (by hash, once).
 * @throws DriverError when nothing was run (`needs_login`, `transport`) or the login node cannot run it at all (`refused`).
 */
export class PbsExchange {
  readonly #shell: RemoteShell;
  readonly #system: string;
  readonly #timing: SubmitTiming;
  readonly #tools: RemoteTools;
  /** Remote commands so far: the bench counts them. */
  commands = 0;

  constructor(shell: RemoteShell, system: string, timing: SubmitTiming = SUBMIT_TIMING) {
    this.#shell = shell;
    this.#system = system;
    this.#timing = timing;
    this.#tools = readTools();
  }

  get toolsSha256(): string {
    return this.#tools.sha256;
  }

  async run(request: ExchangeRequest, signal?: AbortSignal): Promise<Exchanged> {
    const first = await this.#once(request, signal);
    if (first !== 'tools missing') return first;
    await this.#install(signal);
    const second = await this.#once(request, signal);
    if (second !== 'tools missing') return second;
    throw new DriverError(
      'refused',
      'HF-PBS-TOOLS',
      `the tools of Holdfast vanish from ~/.holdfast on ${this.#system}. Check the quota of the home folder.`,
    );
  }

  async #once(request: ExchangeRequest, signal?: AbortSignal): Promise<Exchanged | 'tools missing'> {
    this.commands += 1;
    const { settleSeconds, lockSeconds, commandSeconds, qstatSeconds, qsubSeconds } = this.#timing;
    const result = await this.#shell.run(
      {
        script: 's="$HOME/.holdfast/$1"; t="$s/tools/$2/exchange.py"; [ -f "$t" ] || exit 86; exec timeout -k 10 "$3" python3 -I "$t" "$s"',
        args: [this.#system, this.#tools.sha256, String(TIMEOUT_SECONDS)],
        input: JSON.stringify({
          ...request,
          settle_seconds: settleSeconds,
          lock_seconds: lockSeconds,
          command_seconds: commandSeconds,
          qstat_seconds: qstatSeconds,
          qsub_seconds: qsubSeconds,
        }),
        timeoutSeconds: TIMEOUT_SECONDS + 20,
      },
      signal,
    );
    if (result.kind === 'unknown') return result;
    if (result.code === TOOLS_MISSING) return 'tools missing';
    const words = result.stderr.toString('utf8').trim().slice(-500);
    if (result.code === 127) {
      throw new DriverError(
        'refused',
        'HF-PBS-PYTHON',
        `python3 or timeout is not on the login node of ${this.#system} (${words}). Put it into PATH.`,
      );
    }
    const body = readFramed(result.stdout);
    if (body === undefined) return { kind: 'unknown', why: `exit ${result.code}: ${words || 'the answer was not whole'}` };
    return { kind: 'answer', answer: answer.parse(JSON.parse(body)) };
  }

  async #install(signal?: AbortSignal): Promise<void> {
    this.commands += 1;
    const result = await this.#shell.run(
      {
        script: 'd="$HOME/.holdfast/$1/tools" && mkdir -p "$d" && exec python3 -I -c "$3" "$d/$2"',
        args: [this.#system, this.#tools.sha256, INSTALL_PROGRAM],
        input: JSON.stringify(this.#tools.files),
      },
      signal,
    );
    if (result.kind === 'unknown')
      throw new DriverError('transport', 'HF-PBS-TOOLS', `the tools may not have arrived on ${this.#system}: ${result.why}`);
    if (result.code === 0) return;
    const words = result.stderr.toString('utf8').trim().slice(-300);
    throw new DriverError(
      'refused',
      'HF-PBS-TOOLS',
      `the tools cannot be put into ~/.holdfast on ${this.#system} (${words}). Check that python3 is there and the home folder has room.`,
    );
  }
}

/** The body behind `holdfast BYTES SHA256`, when all of it came. */
function readFramed(stdout: Buffer): string | undefined {
  const head = /(?:^|\n)holdfast (\d{1,9}) ([0-9a-f]{64})\n/.exec(stdout.toString('latin1'));
  if (!head) return undefined;
  const start = head.index + head[0].length;
  const body = stdout.subarray(start, start + Number(head[1]));
  return createHash('sha256').update(body).digest('hex') === head[2] ? body.toString('utf8') : undefined;
}
