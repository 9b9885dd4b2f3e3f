import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DoneRecord } from '../../domain/spool.ts';
import type { PbsSettings } from '../../spec/pbs-settings.ts';
import type { PbsProfile } from '../../spec/profile.ts';
import type { RemoteShell } from '../../ssh/transport.ts';
import {
  DriverError,
  type LaunchMemory,
  type LaunchPlan,
  type LookRequest,
  type LookResult,
  type PilotRequest,
  type PilotStart,
  type PreparedLaunch,
  type SentOrders,
  type SystemDescription,
  type SystemDriver,
  type SystemOrder,
} from '../driver.ts';
import { allocationNotices } from './allocation.ts';
import { packBundle } from './bundle.ts';
import { COLLECT_ALONG_BYTES, collectFiles } from './collect-files.ts';
import { type ExchangeAnswer, type ExchangeRequest, PbsExchange, type SubmitTiming } from './exchange.ts';
import { GoneLaunches } from './gone-launches.ts';
import { type AskedPilot, judgePilots, LOST_RULE, type LostRule, type Missing } from './judge-pilots.ts';
import { launchRequest, preparedLaunch } from './launch-request.ts';
import { fitBeforeMaintenance, maintenanceQuestion } from './maintenance-wait.ts';
import { newsOf } from './news.ts';
import { pilotStartOf, QSUB_EXITS } from './pilot-start.ts';
import { nodeHoursPerPilot, shapeOf } from './shape.ts';

export interface PbsDriverOptions {
  readonly name: string;
  readonly profile: PbsProfile;
  readonly shell: RemoteShell;
  /** Folder for packed bundles; default: below the launch's local folder. */
  readonly cacheDirectory?: string;
  readonly timing?: SubmitTiming;
  readonly lostRule?: LostRule;
  /** Files of an ended attempt larger than this stay on the system, and so do checkpoints; bytes. */
  readonly maxFileBytes?: number;
  /** How long closeLaunch waits for PBS to confirm. */
  readonly closeSeconds?: number;
}

export type SiteInspection = NonNullable<ExchangeAnswer['inspect']> & Pick<ExchangeAnswer, 'maintenance' | 'allocation'>;

export interface PbsDriver extends SystemDriver {
  readonly kind: 'pbs';
  /** Remote commands so far. */
  readonly commands: () => number;
  /** `qstat -Qf`, `qstat -Bf`, reservations, the message of the day and what allocations have left, now. */
  inspect(): Promise<SiteInspection>;
}

/** A held pilot's notice stays this long beyond the next question. */
const HELD_NOTICE_SECONDS = 60;
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const KEPT_FILES = 400;
const ORDERS_AT_ONCE = 200;
/** The interval grows up to this while PBS is silent. */
const LONGEST_INTERVAL_SECONDS = 600;
/** What allocations have left is asked for with a look, so often (R35). */
const ALLOCATION_SECONDS = 3600;

/**
 * One account on one PBS system. All state is on the system: a restarted worker knows everything after its next look. Pilots are jobs; each
 * call is one remote command (remote/pbs/exchange.py), whatever the number of campaigns and trials.
 */
export function createPbsDriver(options: PbsDriverOptions): PbsDriver {
  const { name, profile, shell } = options;
  const exchange = new PbsExchange(shell, name, options.timing);
  const missing: Missing = new Map();
  /** Small files that came with a look, by `<campaign>/<trial>.<attempt>`. */
  const cameAlong = new Map<string, readonly { readonly path: string; readonly base64: string }[]>();
  /** Campaigns whose pilots are held for a maintenance: every look says so, until they are asked for again or no more. */
  const held = new Map<string, { readonly message: string; readonly untilMs: number }>();
  let directories: Readonly<Record<string, string>> = {};
  let silentLooks = 0;
  /** What allocations of open launches had left when they were last asked for. */
  let allocations: { readonly notices: readonly string[]; readonly dueAt: number } = { notices: [], dueAt: 0 };
  const gone = new GoneLaunches();
  const lostRule = options.lostRule ?? LOST_RULE;
  const seconds = () => performance.now() / 1000;

  /** For calls whose repetition does no harm: not knowing is an error of the transport. */
  async function certain(request: ExchangeRequest, signal?: AbortSignal): Promise<ExchangeAnswer> {
    const result = await exchange.run(request, signal);
    if (result.kind === 'unknown')
      throw new DriverError('transport', 'HF-PBS-ANSWER', `system ${name} gave no whole answer (${result.why}). It is asked again.`);
    directories = result.answer.launches;
    gone.note(result.answer, seconds());
    return result.answer;
  }

  async function lookAround(
    request: Pick<ExchangeRequest, 'acks' | 'cancel' | 'orders'>,
    pilots: readonly AskedPilot[],
    signal?: AbortSignal,
  ) {
    const answer = await certain(
      {
        ...request,
        ...(seconds() >= allocations.dueAt ? allocationQuestion(profile) : {}),
        look: { pilots: pilots.map(({ pilot }) => pilot), collect_bytes: COLLECT_ALONG_BYTES },
      },
      signal,
    );
    if (answer.allocation)
      allocations = { notices: allocationNotices(answer.allocation, Date.now()), dueAt: seconds() + ALLOCATION_SECONDS };
    const seen = answer.look;
    if (!seen) throw new DriverError('transport', 'HF-PBS-ANSWER', `system ${name} answered without a look. It is asked again.`);
    for (const [key, files] of Object.entries(seen.files)) cameAlong.set(key, files);
    for (const key of [...cameAlong.keys()].slice(0, Math.max(0, cameAlong.size - KEPT_FILES))) cameAlong.delete(key);
    return { seen, judged: judge(seen, pilots) };
  }

  /** Of a campaign whose file system does not answer nothing is concluded from a pilot's absence. */
  function judge({ pilots, qstat, unread }: NonNullable<ExchangeAnswer['look']>, asked: readonly AskedPilot[]) {
    const certain = asked.filter(({ campaign }) => !unread.includes(campaign));
    return judgePilots(pilots, qstat, missing, seconds(), lostRule, certain);
  }

  async function look(request: LookRequest, signal: AbortSignal): Promise<LookResult | undefined> {
    // Of a launch whose folder is gone nothing is concluded from silence: it is made again first.
    const pilots = request.pilots.filter(({ campaign }) => gone.get(campaign) === undefined);
    let { seen, judged } = await lookAround({ acks: request.acks }, pilots, signal);
    silentLooks = judged.isSilent ? silentLooks + 1 : 0;
    if (judged.settle.length > 0 || judged.cancel.length > 0) {
      const { settle, cancel } = judged;
      // What dead agents left is put in order first, so that the ends of their trials come with this look.
      const answer = await certain(
        { cancel, settle, look: { pilots: pilots.map(({ pilot }) => pilot), collect_bytes: COLLECT_ALONG_BYTES } },
        signal,
      );
      if (answer.look) {
        seen = answer.look;
        for (const [key, files] of Object.entries(seen.files)) cameAlong.set(key, files);
        judged = judge(seen, pilots);
      }
    }
    const running = seen.pilots.flatMap((row) =>
      row.heartbeats
        .filter((beat) => beat.state !== 'ended')
        .map((beat) => ({ campaign: row.campaign, pilot: row.pilot, busy: beat.busy })),
    );
    const unread = seen.unread.map(
      (campaign) =>
        `${campaign}: the file system of its launch folder does not let it be read; its pilots count as they were until it does`,
    );
    const told = [...heldNotices(), ...gone.notices(), ...unread, ...badNodes(seen.avoided), ...allocations.notices];
    const notices = [...told, ...judged.notices].slice(0, 10);
    return newsOf({ ended: seen.done, running, pilots: judged.seen, broken: seen.broken, notices }, request);
  }

  function badNodes(avoided: Readonly<Record<string, readonly string[]>>): string[] {
    return Object.entries(avoided).map(
      ([campaign, nodes]) =>
        `${campaign}: trials of two pilots were lost on ${nodes.join(', ')}; pilots with other nodes leave ${nodes.length === 1 ? 'it' : 'them'} idle. Tell the site`,
    );
  }

  function heldNotices(): string[] {
    for (const [campaign, { untilMs }] of held) if (performance.now() > untilMs) held.delete(campaign);
    return [...held].map(([campaign, { message }]) => `${campaign}: ${message}`);
  }

  /** `lost`: the launch is made again after its folder was removed; these attempts were in flight. */
  async function prepareLaunch(
    plan: LaunchPlan,
    progress: (note: string) => void,
    { signal, lost }: { readonly signal?: AbortSignal | undefined; readonly lost?: readonly string[] } = {},
  ): Promise<PreparedLaunch> {
    const { spec } = plan;
    // Admitted by src/spec, which knows the profile.
    const settings = spec.system.settings as unknown as PbsSettings;
    const shape = shapeOf(profile, { ...settings, mode: settings.mode ?? 'pilot' }, spec.training.slots);
    const hoursPerPilot = nodeHoursPerPilot(shape);
    if (spec.budget.nodeHours !== undefined && spec.budget.nodeHours < hoursPerPilot) {
      throw new DriverError(
        'refused',
        'HF-PBS-NODE-HOURS',
        `budget of ${spec.budget.nodeHours} node-hours is less than one pilot may take (${shape.nodes} nodes for ${shape.walltimeSeconds / 3600} h: ${hoursPerPilot}). Ask for fewer nodes or less walltime.`,
      );
    }
    const localDirectory = resolve(spec.workingDirs.localBase, plan.launch);
    const directory = await launchDirectory(plan);
    const bundle =
      spec.training.bundle === undefined
        ? undefined
        : await packBundle(spec.training.bundle, options.cacheDirectory ?? join(localDirectory, '.bundle'));
    const request = launchRequest(plan, {
      profile,
      shape,
      directory,
      ...(bundle === undefined ? {} : { bundle }),
      ...(lost === undefined ? {} : { lost }),
    });
    // An account that is new here is asked about with the next look.
    allocations = { ...allocations, dueAt: 0 };
    progress(`launch folder ${directory}`);
    for (let tries = 0; ; tries += 1) {
      const answer = (await certain({ prepare: request })).prepare;
      if (answer?.answer === 'ready') {
        const made = preparedLaunch(shape, directory, localDirectory, bundle);
        const provenance = {
          ...made.provenance,
          system: name,
          tools: exchange.toolsSha256,
          ...(answer.python ? { python: answer.python } : {}),
        };
        return { ...made, provenance };
      }
      if (answer?.answer === 'foreign') {
        throw new DriverError(
          'refused',
          'HF-PBS-FOREIGN',
          `launch folder ${directory} belongs to another campaign (${JSON.stringify(answer.owner)}). Choose another name or working folder.`,
        );
      }
      if (bundle === undefined || tries >= 3)
        throw new DriverError(
          'transport',
          'HF-PBS-STAGE',
          `launch folder ${directory} could not be prepared (${answer?.answer}: ${answer?.message ?? ''}). It is tried again.`,
        );
      progress(`bundle ${bundle.sha256.slice(0, 12)}: ${bundle.files} files, ${bundle.sizeBytes} bytes`);
      signal?.throwIfAborted();
      await shell.upload(bundle.file, `${directory}/bundle/${bundle.sha256}.tar.gz`);
    }
  }

  async function launchDirectory(plan: LaunchPlan): Promise<string> {
    const base = plan.spec.workingDirs.remoteBase ?? profile.base ?? '~/holdfast';
    if (base.startsWith('/')) return `${base.replace(/\/+$/, '')}/${plan.launch}`;
    const { home } = await certain({});
    return `${home}/${base.replace(/^~\/?/, '').replace(/\/+$/, '')}/${plan.launch}`;
  }

  async function startPilot(request: PilotRequest): Promise<PilotStart> {
    const fit = await fitBeforeMaintenance(profile, request, async (question) => (await certain({ maintenance: question })).maintenance);
    if (fit.kind === 'wait') {
      held.set(request.campaign, { message: fit.message, untilMs: performance.now() + (fit.retrySeconds + HELD_NOTICE_SECONDS) * 1000 });
      return fit;
    }
    held.delete(request.campaign);
    const walltimeSeconds = fit.walltimeSeconds ?? request.walltimeSeconds;
    const result = await exchange.run({
      submit: [
        {
          campaign: request.campaign,
          pilot: request.pilot,
          ...(request.nodes === undefined ? {} : { nodes: request.nodes }),
          ...(walltimeSeconds === undefined ? {} : { walltime_seconds: walltimeSeconds }),
          ...(fit.note === undefined ? {} : { note: fit.note }),
          ...QSUB_EXITS,
        },
      ],
    });
    if (result.kind === 'unknown')
      return { kind: 'unknown', message: `The answer was lost (${result.why}); the job is looked up by its name.` };
    return pilotStartOf(
      result.answer.submit[0],
      request.campaign,
      name,
      gone.get(request.campaign) === undefined ? undefined : gone.notices().join('. '),
    );
  }

  async function send(orders: readonly SystemOrder[]): Promise<SentOrders> {
    const answers: SentOrders['answers'][number][] = [];
    for (let first = 0; first < orders.length; first += ORDERS_AT_ONCE) {
      answers.push(...(await certain({ orders: orders.slice(first, first + ORDERS_AT_ONCE) })).orders);
    }
    const homeless = orders.find((order) => order.kind === 'offer' && gone.get(order.campaign) !== undefined);
    if (homeless) throw new DriverError('transport', 'HF-PBS-GONE-FOLDER', `${gone.notices().join('. ')}. The order is sent again.`);
    return { answers };
  }

  async function collect(campaign: string, record: DoneRecord, localLaunchDirectory: string): Promise<void> {
    const key = `${campaign}/${record.trial}.${record.attempt}`;
    await collectFiles(record, localLaunchDirectory, options.maxFileBytes ?? MAX_FILE_BYTES, {
      cameAlong: cameAlong.get(key) ?? [],
      async fetchSmall(names) {
        const request = { campaign, directory: record.directory, names, max_bytes: COLLECT_ALONG_BYTES };
        return (await certain({ fetch: request })).fetch ?? [];
      },
      download: async (path, target, check) => shell.download(`${await launchOf(campaign)}/${path}`, target, check),
    });
    cameAlong.delete(key);
  }

  async function launchOf(campaign: string): Promise<string> {
    const directory = directories[campaign] ?? (await certain({})).launches[campaign];
    if (directory === undefined) throw new DriverError('refused', 'HF-PBS-LAUNCH', `campaign ${campaign} has no launch folder on ${name}.`);
    return directory;
  }

  async function closeLaunch(campaign: string): Promise<void> {
    const deadline = performance.now() + (options.closeSeconds ?? 90) * 1000;
    for (let pause = 200; ; pause = Math.min(5_000, pause * 2)) {
      const { seen, judged } = await lookAround({}, []);
      const own = new Set(seen.pilots.filter((row) => row.campaign === campaign).map((row) => row.pilot));
      const alive = judged.seen.filter((pilot) => own.has(pilot.pilot) && pilot.state !== 'ended');
      const answer = await certain({
        cancel: alive.map(({ pilot }) => ({ campaign, pilot, reason: 'the campaign is over' })),
        settle: judged.settle.filter((each) => each.campaign === campaign),
        close: campaign,
      });
      if (answer.close?.answer === 'closed') return;
      if (performance.now() > deadline) {
        throw new DriverError(
          'transport',
          'HF-PBS-CLOSING',
          `system ${name} has not yet confirmed the end of ${answer.close?.pilots?.join(', ') ?? campaign}. It is asked again.`,
        );
      }
      await sleep(pause);
    }
  }

  /** @throws DriverError `refused` when the training code is not what the campaign began with. */
  async function rebuild({ campaign, spec, launch, provenance, attempts }: LaunchMemory): Promise<void> {
    const known = gone.get(campaign);
    if (known?.owner == null) return;
    if (spec.training.bundle !== undefined && provenance.bundle !== undefined) {
      const folder = await mkdtemp(join(tmpdir(), 'holdfast-bundle-'));
      const { sha256 } = await packBundle(spec.training.bundle, folder).finally(() => rm(folder, { recursive: true, force: true }));
      if (sha256 !== provenance.bundle)
        throw new DriverError(
          'refused',
          'HF-PBS-BUNDLE-CHANGED',
          `launch folder ${known.directory} was removed, and the training code in ${spec.training.bundle} has changed since the campaign began. Put the code back as it was, or cancel the campaign.`,
        );
    }
    const owner = known.owner as unknown as LaunchPlan['owner'];
    await prepareLaunch({ campaign, launch, spec, owner, reportSteps: known.report_steps ?? [] }, () => undefined, { lost: attempts });
  }

  return {
    name,
    kind: 'pbs',
    lost: async (campaigns) => gone.certain(campaigns, seconds(), lostRule),
    rebuild,
    // What was in flight has a record that says that it is lost.
    recalled: async () => undefined,
    commands: () => exchange.commands,
    describe: async () => describeProfile(profile, silentLooks),
    deployTarget(spec) {
      const { setup, python } = spec.system.settings as unknown as PbsSettings;
      return { shell, setup: setup ?? profile.setup, python: python ?? profile.python };
    },
    prepareLaunch: (plan, progress, signal) => prepareLaunch(plan, progress, { signal }),
    send,
    startPilot,
    look,
    collect,
    closeLaunch,
    async inspect() {
      const { inspect, maintenance, allocation } = await certain({
        inspect: true,
        maintenance: maintenanceQuestion(profile),
        ...allocationQuestion(profile),
      });
      if (!inspect) throw new DriverError('transport', 'HF-PBS-ANSWER', `system ${name} answered without its queues. Try again.`);
      return { ...inspect, maintenance, allocation };
    },
  };
}

function allocationQuestion({ allocation }: PbsProfile): Pick<ExchangeRequest, 'allocation'> {
  return allocation === undefined ? {} : { allocation };
}

/** What the workflow plans with before it knows a campaign's own settings. The interval doubles while PBS is silent. */
function describeProfile(profile: PbsProfile, silentLooks: number): SystemDescription {
  const shape = shapeOf(profile, { mode: 'pilot' });
  return {
    kind: 'pbs',
    usesPilots: true,
    slotsPerPilot: shape.nodes * shape.slotsPerNode,
    maxPilots: shape.maxPilots,
    prefetch: shape.prefetch,
    lookIntervalSeconds: Math.min(
      Math.max(LONGEST_INTERVAL_SECONDS, profile.pollSeconds),
      profile.pollSeconds * 2 ** Math.min(10, silentLooks),
    ),
    nodesPerPilot: shape.nodes,
    walltimeSeconds: shape.walltimeSeconds,
  };
}
