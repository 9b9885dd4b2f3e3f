import { loadProfile } from '../spec/load-profile.ts';
import type { PbsProfile } from '../spec/profile.ts';
import { diagnoseSsh, type SshFinding } from '../ssh/doctor.ts';
import { openShell } from '../ssh/open-shell.ts';
import { diagnosePbs } from '../systems/pbs/doctor.ts';
import { diagnoseSite } from '../systems/pbs/doctor-site.ts';
import { createPbsDriver } from '../systems/pbs/driver.ts';
import { checkCampaignFile } from './doctor-campaign.ts';
import { thisComputer } from './doctor-here.ts';
import type { Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';

/** One line of doctor; `system` is absent for this computer. */
export interface Finding extends SshFinding {
  readonly system?: string;
}

export interface DoctorOptions extends CommonOptions {
  /** A campaign file: checked before the systems, and its own system is one of them. */
  readonly config?: string;
}

/**
 * `holdfast doctor [system…] [--config FILE]`: this computer, then the campaign file, then each system: its connection and its queues, or its Globus login and
 * endpoint. All of it, whatever fails before. Logs in nowhere by itself where a person's login is needed; what needs one is skipped. Starts nothing. Exit
 * `failed` when a line says fail.
 */
export async function doctor(systems: readonly string[], options: DoctorOptions, io: CliIo): Promise<Exit> {
  const findings: Finding[] = await thisComputer(io);
  const file = options.config === undefined ? undefined : await checkCampaignFile(options.config, io.env);
  findings.push(...(file?.findings ?? []));
  for (const name of new Set([...systems, ...(file?.system === undefined ? [] : [file.system])])) {
    const profile = loadProfile(name, { env: io.env });
    if (profile.kind === 'pbs') findings.push(...(await pbsSystem(profile, io)).map((finding) => ({ system: profile.name, ...finding })));
    if (profile.kind !== 'globus_compute') continue;
    const { diagnoseGlobus } = await import('../systems/globus/diagnose-system.ts');
    findings.push(...(await diagnoseGlobus(profile, io.env)).map((finding) => ({ system: profile.name, ...finding })));
  }
  print(io, options, { ok: findings.every(({ status }) => status !== 'fail'), findings }, describeFindings(findings));
  return findings.some(({ status }) => status === 'fail') ? 'failed' : 'ok';
}

async function pbsSystem(profile: PbsProfile, io: CliIo): Promise<SshFinding[]> {
  const env = { ...io.env };
  const { shell } = openShell(profile.name, profile.ssh, env);
  try {
    const connection = await diagnoseSsh({ system: profile.name, settings: profile.ssh, shell, env });
    if (shell.state().kind !== 'ready') return connection;
    const scheduler = await diagnosePbs(profile, createPbsDriver({ name: profile.name, profile, shell }));
    return [...connection, ...scheduler, ...(await diagnoseSite(profile, shell))];
  } finally {
    await shell.close();
  }
}

const WORDS = { ok: 'OK  ', warn: 'WARN', fail: 'FAIL', skip: 'SKIP' } as const;

/** A line per finding, its advice below it. */
export function describeFindings(findings: readonly Finding[]): string {
  return findings
    .flatMap(({ system, status, title, found, advice }) => [
      `${WORDS[status]} ${system === undefined ? '' : `${system}: `}${title}: ${found}`,
      ...(advice === undefined ? [] : [`     ${advice}`]),
    ])
    .join('\n');
}
