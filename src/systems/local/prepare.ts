import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { CampaignSpec } from '../../domain/campaign.ts';
import type { LaunchRecord } from '../../domain/spool.ts';
import { packageRoot } from '../../package-root.ts';
import { DriverError, type LaunchPlan, type PreparedLaunch } from '../driver.ts';
import { placeAgent, readAgentSource } from '../spool/agent-files.ts';
import { placeBundle, readBundle } from '../spool/bundle.ts';
import { makeLaunchFolder, refusing } from '../spool/launch-folder.ts';
import { stopFile } from '../spool/paths.ts';
import type { LocalSettings } from './options.ts';
import { register, registered } from './registry.ts';

const run = promisify(execFile);

/** Makes, fills and registers a launch folder on this computer. `closeOther` ends an earlier launch of the same campaign id, if one is still registered. */
export async function prepareLocalLaunch(
  settings: LocalSettings,
  plan: LaunchPlan,
  progress: (note: string) => void,
  closeOther: () => Promise<void>,
): Promise<PreparedLaunch> {
  const { spec } = plan;
  const directory = path.resolve(settings.workingDirectory, spec.workingDirs.localBase, plan.launch);
  const own = ownSettings(spec);
  const slots = own.slots ?? settings.slots;
  const python = own.python ?? settings.python;
  if (spec.training.slots > slots) {
    throw new DriverError(
      'refused',
      'HF-LOCAL-SLOTS',
      `A trial needs ${spec.training.slots} slots, but ${settings.name} has ${slots} (training.slots). Lower it, or give the system more slots.`,
    );
  }
  const before = await registered(settings.registry, plan.campaign);
  if (before !== undefined && before.directory !== directory) await closeOther();

  progress('finding Python');
  const version = await pythonVersion(python);
  const bundle = spec.training.bundle === undefined ? undefined : await readBundle(bundleFolder(settings, spec.training.bundle));
  progress(`making ${directory}`);
  await makeLaunchFolder(directory, launchRecord(settings, plan, python, bundle?.sha256 ?? null));
  const source = await readAgentSource();
  const agent = await refusing(directory, async () => {
    // A campaign that was closed and is taken up again (workflow reset): the request to stop everything is over. One whose worker was killed
    // in the middle of closing it is registered still.
    await rm(stopFile(directory, 'all'), { force: true });
    if (bundle !== undefined) {
      progress(`copying the training code, ${bundle.files.length} files`);
      await placeBundle(bundle, directory);
    }
    return placeAgent(source, directory);
  });
  await register(settings.registry, { campaign: plan.campaign, directory, agent, python, slots });
  return {
    directory,
    localDirectory: directory,
    bundleSha256: bundle?.sha256 ?? null,
    ...(own.slots === undefined ? {} : { capacity: { slotsPerPilot: own.slots } }),
    provenance: {
      python: version,
      python_path: python,
      agent: source.sha256,
      ...(bundle === undefined ? {} : { bundle: bundle.sha256 }),
      ...(await gitCommit(bundle?.folder ?? settings.workingDirectory)),
    },
  };
}

function launchRecord(settings: LocalSettings, plan: LaunchPlan, python: string, bundle: string | null): LaunchRecord {
  const { training, limits, workingDirs, objectives, metricConstraints } = plan.spec;
  return {
    version: 1,
    campaign: plan.campaign,
    launch: plan.launch,
    system: settings.name,
    command: training.command,
    env: { ...settings.env, ...training.env },
    bundle,
    data_dir: training.dataDir === undefined ? null : path.resolve(settings.workingDirectory, training.dataDir),
    python,
    slots_per_trial: training.slots,
    objectives,
    metric_constraints: metricConstraints ?? [],
    limits: {
      trial_seconds: limits.trialSeconds ?? null,
      hang_factor: limits.hangFactor,
      hang_min_seconds: limits.hangMinSeconds,
      grace_seconds: limits.graceSeconds,
      log_bytes: limits.logBytes,
    },
    job_pattern: workingDirs.jobPattern,
    report_steps: plan.reportSteps,
    owner: plan.owner,
  };
}

/** What a campaign sets for this system (src/spec/local-settings.ts has checked it). */
function ownSettings(spec: CampaignSpec): { slots?: number; python?: string } {
  const { slots, python } = spec.system.settings;
  return { ...(typeof slots === 'number' ? { slots } : {}), ...(typeof python === 'string' ? { python } : {}) };
}

/** Relative to the worker's folder; the payloads that ship with Holdfast are found from anywhere. */
function bundleFolder(settings: LocalSettings, bundle: string): string {
  const own = path.resolve(settings.workingDirectory, bundle);
  const shipped = path.join(packageRoot(), bundle);
  return !existsSync(own) && !path.isAbsolute(bundle) && existsSync(shipped) ? shipped : own;
}

async function pythonVersion(python: string): Promise<string> {
  try {
    const { stdout } = await run(python, ['-c', 'import sys; print(sys.version.split()[0]); sys.exit(sys.version_info < (3, 6))'], {
      timeout: 60_000,
    });
    return stdout.trim();
  } catch (error) {
    throw new DriverError(
      'refused',
      'HF-LOCAL-PYTHON',
      `Python ${python} cannot be run, or is older than 3.6 (system ${plainReason(error)}). Set python: in the system's profile, or HOLDFAST_PYTHON.`,
      { cause: error },
    );
  }
}

function plainReason(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/** The commit of the training code, when it lies in a git working tree; marked when files differ from it. */
async function gitCommit(folder: string): Promise<{ git?: string }> {
  try {
    const { stdout } = await run('git', ['-C', folder, 'describe', '--always', '--abbrev=40', '--dirty', '--exclude=*'], {
      timeout: 10_000,
    });
    return { git: stdout.trim() };
  } catch {
    // No git, or no repository: then there is no commit to record.
    return {};
  }
}
