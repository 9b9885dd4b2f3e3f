import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { loadProfile } from '../spec/load-profile.ts';
import type { PbsProfile } from '../spec/profile.ts';
import { diagnoseSsh, type SshFinding } from '../ssh/doctor.ts';
import { openShell } from '../ssh/open-shell.ts';
import { diagnosePbs } from '../systems/pbs/doctor.ts';
import { diagnoseSite } from '../systems/pbs/doctor-site.ts';
import { createPbsDriver } from '../systems/pbs/driver.ts';
import type { Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';
import { scriptPython } from './payload-script.ts';

/** One line of doctor; `system` is absent for this computer. */
export interface Finding extends SshFinding {
  readonly system?: string;
}

/**
 * `holdfast doctor [system…]`: this computer, then each system named: its connection and its queues, or its Globus login and endpoint. Logs in
 * nowhere by itself where a person's login is needed; what needs one is skipped. Exit `failed` when a line says fail.
 */
export async function doctor(systems: readonly string[], options: CommonOptions, io: CliIo): Promise<Exit> {
  const findings: Finding[] = await thisComputer(io);
  for (const name of systems) {
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

const OLDEST_NODE = [20, 16] as const;

async function thisComputer(io: CliIo): Promise<Finding[]> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isNodeNew = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  const node: Finding = {
    id: 'node',
    title: 'Node.js',
    status: isNodeNew ? 'ok' : 'fail',
    found: process.versions.node,
    ...(isNodeNew ? {} : { advice: `Install Node.js ${OLDEST_NODE.join('.')} or newer.` }),
  };
  const python = scriptPython(io.env);
  const version = await promisify(execFile)(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
  const [pythonMajor = 0, pythonMinor = 0] = (version ?? '').split('.').map(Number);
  const isPythonNew = pythonMajor === 3 && pythonMinor >= 6;
  const agent: Finding = {
    id: 'python',
    title: 'Python for local trials',
    status: isPythonNew ? 'ok' : 'fail',
    found: version === undefined ? `${python} cannot be started` : `${python} ${version}`,
    ...(isPythonNew ? {} : { advice: 'Install Python 3.6 or newer, or name one in HOLDFAST_PYTHON.' }),
  };
  return [node, agent, await temporal()];
}

async function temporal(): Promise<Finding> {
  const title = { id: 'temporal', title: 'Temporal server' };
  try {
    const found = await withClient(async ({ workflowService, options: { namespace } }) => {
      const { serverVersion } = await workflowService.getSystemInfo({});
      return `${serverVersion ?? 'version unknown'}, namespace ${namespace}`;
    });
    return { ...title, status: 'ok', found };
  } catch (error) {
    return {
      ...title,
      status: 'warn',
      found: (error as Error).message.split('\n')[0] ?? '',
      advice: 'Start one with holdfast dev, or set TEMPORAL_ADDRESS.',
    };
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
