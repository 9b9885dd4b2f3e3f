import { resolve } from 'node:path';
import type { CampaignSpec } from '../domain/campaign.ts';
import type { Parameter } from '../domain/space.ts';
import type { TrialRow } from '../domain/trial.ts';
import { writeAtomically } from '../report/atomic.ts';
import type { ReportInput } from '../report/input.ts';
import { toCsv, toJsonLines, trialRecords } from '../report/trial-records.ts';
import { writeReport } from '../report/write.ts';
import { loadProfile } from '../spec/load-profile.ts';
import { localCarrier } from '../ssh/local-carrier.ts';
import { openShell } from '../ssh/open-shell.ts';
import { makeRemoteShell } from '../ssh/shell.ts';
import type { RemoteShell } from '../ssh/transport.ts';
import { type LaunchContents, readLaunchFolder } from '../systems/pbs/read-spool.ts';
import { recoverTable } from '../systems/pbs/recover-table.ts';
import { plural } from '../view/format.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';
import { writingTo } from './output-place.ts';

/**
 * `holdfast recover --from SYSTEM:FOLDER [--out FOLDER]`: a campaign's table and report from its launch folder alone, with an empty Temporal
 * server or none. `local:FOLDER` reads a folder of this computer. Changes nothing on the system.
 */
export async function recover(options: CommonOptions & { readonly from: string; readonly out?: string }, io: CliIo): Promise<Exit> {
  const [, system, folder] = /^([^:/]+):(.+)$/.exec(options.from) ?? [];
  if (system === undefined || folder === undefined)
    throw new CliError('usage', 'HF-USAGE', `--from ${options.from} names no launch folder. Write --from <system>:<folder>.`);
  const shell = shellOf(system, io);
  try {
    const found = await readLaunchFolder(shell, folder);
    const input = reportInput(found, folder);
    const out = resolve(options.out ?? `recovered-${found.launch.launch}`);
    const paths = await writingTo('--out', out, async () => (found.spec === undefined ? writeTables(out, input) : writeReport(out, input)));
    const counts = input.rows.filter((row) => row.state === 'completed').length;
    print(
      io,
      options,
      { campaign: input.campaign, trials: input.rows.length, completed: counts, ...paths },
      `${plural(input.rows.length, 'trial')} of ${input.campaign}, ${counts} completed:\n${Object.values(paths)
        .map((path) => `  ${path}`)
        .join('\n')}`,
    );
    return 'ok';
  } finally {
    await shell.close();
  }
}

function shellOf(system: string, io: CliIo): RemoteShell {
  const env = { ...process.env, ...io.env };
  if (system === 'local') return makeRemoteShell(localCarrier({ env }));
  const profile = loadProfile(system, { env: io.env });
  if (profile.kind !== 'pbs')
    throw new CliError(
      'usage',
      'HF-USAGE',
      `system ${system} is of kind ${profile.kind}; launch folders are read from PBS systems and from local.`,
    );
  return openShell(profile.name, profile.ssh, env).shell;
}

function reportInput(found: LaunchContents, directory: string): ReportInput {
  const rows = recoverTable(found);
  const times = rows.flatMap((row) => [row.createdAt, row.finishedAt ?? row.createdAt]).filter((time) => time > 0);
  const startedAt = Math.min(...times, Date.now());
  return {
    campaign: found.launch.campaign,
    spec: found.spec ?? leastSpec(found, rows),
    status: 'running',
    startedAt,
    endedAt: Math.max(startedAt, ...times),
    rows,
    provenance: { recovered_from: directory, system: found.launch.system },
  };
}

/** Without campaign.json: what the tables need to know, the parameters as they were met. */
function leastSpec({ launch }: LaunchContents, rows: readonly TrialRow[]): CampaignSpec {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.params)))];
  const parameters = names.map(
    (name): Parameter => ({
      name,
      type: 'categorical',
      values: [...new Set(rows.flatMap((row) => (row.params[name] === undefined ? [] : [row.params[name]])))],
    }),
  );
  return {
    version: 1,
    name: launch.campaign,
    system: { name: launch.system, kind: 'pbs', settings: {} },
    objectives: launch.objectives,
    space: { parameters },
    sampler: { type: 'unknown', options: {} },
    enqueue: [],
    training: { command: launch.command, env: launch.env, slots: launch.slots_per_trial },
    budget: {},
    stop: { minDelta: 0 },
    limits: {
      hangFactor: launch.limits.hang_factor,
      hangMinSeconds: launch.limits.hang_min_seconds,
      graceSeconds: launch.limits.grace_seconds,
      logBytes: launch.limits.log_bytes,
    },
    retries: { infrastructure: 0, trial: 0 },
    workingDirs: { localBase: '.', launchIterationPattern: launch.launch, jobPattern: launch.job_pattern },
    allowDuplicates: true,
    seed: 0,
  };
}

async function writeTables(folder: string, input: ReportInput): Promise<Readonly<Record<string, string>>> {
  const records = trialRecords(input);
  const paths = { csv: `${folder}/trials.csv`, jsonl: `${folder}/trials.jsonl` };
  await writeAtomically(paths.csv, toCsv(records));
  await writeAtomically(paths.jsonl, toJsonLines(records));
  return paths;
}
