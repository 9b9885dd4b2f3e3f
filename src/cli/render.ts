import { createHash } from 'node:crypto';
import type { CampaignSpec } from '../domain/campaign.ts';
import { pilotName } from '../domain/pilots.ts';
import { admitCampaign } from '../spec/admit.ts';
import { loadProfile } from '../spec/load-profile.ts';
import type { PbsSettings } from '../spec/pbs-settings.ts';
import { fillTemplate, renderJob } from '../systems/pbs/job-script.ts';
import { shapeOf } from '../systems/pbs/shape.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';

/**
 * `holdfast render-job FILE`: the job script that a campaign's pilots are submitted with, and the files that it starts. No login, nothing is sent.
 * The launch folder and the job's name hold what is only known when the campaign starts.
 */
export async function render(file: string, options: CommonOptions & { readonly all?: boolean }, io: CliIo): Promise<Exit> {
  const spec = await admitCampaign(file);
  if (spec.system.kind !== 'pbs')
    throw new CliError(
      'usage',
      'HF-USAGE',
      `${file} runs on ${spec.system.name} (${spec.system.kind}), which has no job scripts. Only PBS systems do.`,
    );
  const { pilot, directory, script, files } = jobScriptOf(spec, io.env);
  const others = Object.entries(files).filter(([name]) => name !== 'pbs/job.sh');
  const text = options.all === true ? [script, ...others.map(([name, body]) => `# ----- ${name}\n${body}`)].join('\n') : script;
  print(io, options, { pilot, directory, script, files: Object.fromEntries(others) }, text);
  return 'ok';
}

/** The script of a campaign's first pilot, and the files that it starts. Throws BadSpec or DriverError for settings that no job can have. */
export function jobScriptOf(spec: CampaignSpec, env: CliIo['env']) {
  const profile = loadProfile(spec.system.name, { env });
  if (profile.kind !== 'pbs') throw new CliError('usage', 'HF-USAGE', `system ${spec.system.name} is no PBS system.`);
  // Admitted before, by the profile's own rules.
  const shape = shapeOf(profile, spec.system.settings as unknown as PbsSettings, spec.training.slots);
  const base = spec.workingDirs.remoteBase ?? profile.base ?? '/HOME/holdfast';
  const directory = `${base.replace(/^~/, '/HOME')}/LAUNCH`;
  const files = renderJob(shape, directory);
  const pilot = pilotName(spec.name, 1);
  const key = `hf-${pilot.replace(/[^A-Za-z0-9._+-]/g, '_').slice(-40)}-${createHash('sha256').update(`${directory}\0${pilot}`).digest('hex').slice(0, 12)}`;
  const script = fillTemplate(files['pbs/job.sh'], { pilot, key, nodes: shape.nodes, walltimeSeconds: shape.walltimeSeconds });
  return { pilot, directory, script, files };
}
