import { checkRequest } from '../spec/check-request.ts';
import { parseDuration } from '../spec/durations.ts';
import { loadProfile } from '../spec/load-profile.ts';
import type { PbsProfile } from '../spec/profile.ts';
import { openShell } from '../ssh/open-shell.ts';
import { DriverError } from '../systems/driver.ts';
import { diagnoseNode, type NodeCheck } from '../systems/pbs/diagnose-node.ts';
import type { SubmitTiming } from '../systems/pbs/exchange.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, print, progressOf, type QuietOptions } from './io.ts';

export interface DiagSystemOptions extends QuietOptions {
  readonly queue?: string;
  readonly account?: string;
  readonly walltime?: string;
  readonly maxWaitMinutes?: number;
  readonly dataDir?: string;
}

/** A look at the one job of a diagnosis: oftener than at campaigns, which last longer. */
const POLL_SECONDS = 10;
const WALLTIME_SECONDS = 600;

const WORDS = { ok: 'OK  ', warn: 'WARN', fail: 'FAIL' } as const;

/**
 * `holdfast diag SYSTEM`: one job of one node that runs what a training needs there (environment, modules, torch, device, a product of two matrices, data)
 * and a line for each. `failed` when one fails (row V13). Needs a login.
 */
export async function diagSystem(
  name: string,
  options: DiagSystemOptions,
  io: CliIo,
  overrides: { readonly timing?: SubmitTiming; readonly pollSeconds?: number } = {},
): Promise<Exit> {
  const profile = loadProfile(name, { env: io.env });
  if (profile.kind !== 'pbs')
    throw new CliError(
      'usage',
      'HF-USAGE',
      `system ${name} is of kind ${profile.kind}. diag takes a PBS system or a kind of endpoint task.`,
    );
  const settings = settingsOf(profile, options);
  const problems = checkRequest(profile, settings);
  if (problems.length > 0)
    throw new CliError(
      'usage',
      'HF-PBS-QUEUE-LIMIT',
      problems.map(({ what, next }) => `${what}.${next === undefined ? '' : ` ${next}`}`).join('\n'),
    );
  const { shell } = openShell(profile.name, profile.ssh, { ...process.env, ...io.env });
  try {
    const state = await shell.check();
    if (state.kind !== 'ready') throw new DriverError(state.kind === 'needs_login' ? 'needs_login' : 'transport', 'HF-DIAG', state.why);
    const checks = await diagnoseNode(profile, shell, {
      settings,
      ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
      ...(overrides.timing === undefined ? {} : { timing: overrides.timing }),
      maxWaitSeconds: 60 * (options.maxWaitMinutes ?? 30),
      pollSeconds: overrides.pollSeconds ?? POLL_SECONDS,
      progress: progressOf(io, options),
      signal: io.interrupted,
    });
    const isGood = checks.every(({ status }) => status !== 'fail');
    print(io, options, { system: profile.name, passed: isGood, checks }, table(profile, checks, isGood));
    return isGood ? 'ok' : 'failed';
  } finally {
    await shell.close();
  }
}

function settingsOf(profile: PbsProfile, options: DiagSystemOptions) {
  const { account } = options;
  return {
    mode: 'job' as const,
    nodes: 1,
    walltime: options.walltime === undefined ? WALLTIME_SECONDS : walltimeOf(options.walltime),
    queue: options.queue ?? profile.defaultQueue,
    ...(account === undefined ? {} : { account }),
  };
}

function walltimeOf(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined) throw new CliError('usage', 'HF-USAGE', `--walltime ${text} is no time. Write it like 10m or 1h.`);
  return seconds;
}

function table(profile: PbsProfile, checks: readonly NodeCheck[], isGood: boolean): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(({ name, status, found }) => `${WORDS[status]} ${name.padEnd(width)}  ${found}`);
  return [
    ...lines,
    isGood
      ? `A node of ${profile.name} is ready for trainings.`
      : `A node of ${profile.name} is not ready. Mend setup, python or env in config/systems/${profile.name}.yaml.`,
  ].join('\n');
}
