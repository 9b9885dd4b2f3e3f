import type { PbsProfile } from '../../spec/profile.ts';
import type { SshFinding } from '../../ssh/doctor.ts';
import { quoteWord } from '../../ssh/quote.ts';
import type { RemoteShell } from '../../ssh/transport.ts';
import { judgeExit } from './exit-status.ts';

/** Setup lines and Python may load modules from a slow file system. */
const SETUP_SECONDS = 120;
const FEW_BYTES = 10e9;
const FEW_INODES = 10_000;

type Found = Pick<SshFinding, 'status' | 'found' | 'advice'>;

interface Check {
  readonly id: string;
  readonly title: string;
  readonly run: (profile: PbsProfile, shell: RemoteShell) => Promise<Found>;
}

/** What a campaign needs on the login node beside PBS itself: rows TS5, TS7, TS12, TS13, S4 of the guide's troubleshooting. */
const CHECKS: readonly Check[] = [
  { id: 'site-setup', title: 'Setup lines and Python', run: checkSetup },
  { id: 'site-folder', title: 'Folder of the launches', run: checkFolder },
  { id: 'pbs-refusals', title: 'Last refusal of qsub', run: checkRefusals },
];

/** Never throws: what a check throws is its finding. Needs a login that stands. */
export async function diagnoseSite(profile: PbsProfile, shell: RemoteShell): Promise<SshFinding[]> {
  const findings: SshFinding[] = [];
  for (const { id, title, run } of CHECKS) {
    const found = await run(profile, shell).catch(
      (error: Error): Found => ({ status: 'fail', found: error.message, advice: 'Mend what the message names, then run doctor again.' }),
    );
    findings.push({ id, title, ...found });
  }
  return findings;
}

async function said(shell: RemoteShell, script: string, input?: string, args: readonly string[] = []): Promise<string> {
  const answer = await shell.run({ script, args, timeoutSeconds: SETUP_SECONDS, ...(input === undefined ? {} : { input }) });
  if (answer.kind === 'unknown') throw new Error(answer.why);
  return answer.stdout.toString('utf8');
}

/** Each line of `setup` in the order in which a job runs them, in a login shell; the first that fails is named. */
async function checkSetup({ name, setup, python }: PbsProfile, shell: RemoteShell): Promise<Found> {
  const lines = setup.map((line, index) => `eval ${quoteWord(line)} || { printf 'hf-failed %s %s\\n' ${index} $?; exit 0; }`);
  const program = 'import sys; print("hf-python %d.%d.%d %s" % (sys.version_info[:3] + (sys.prefix,)))';
  const input = [...lines, `${quoteWord(python)} -c ${quoteWord(program)} || echo hf-no-python`, ''].join('\n');
  const text = await said(shell, 'exec /bin/bash -l', input);
  const [, index, code] = /^hf-failed (\d+) (\d+)$/m.exec(text) ?? [];
  if (index !== undefined)
    return {
      status: 'fail',
      found: `line ${Number(index) + 1} ended with ${code}: ${setup[Number(index)]}`,
      advice: `Mend setup in the profile (config/systems/${name}.yaml), then run holdfast doctor ${name} again.`,
    };
  const [, version = '', prefix = ''] = /^hf-python (\S+) (.*)$/m.exec(text) ?? [];
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (version === '')
    return { status: 'fail', found: `${python} does not start after setup`, advice: `Set python in config/systems/${name}.yaml.` };
  return major === 3 && minor >= 6
    ? { status: 'ok', found: `${setup.length} ${setup.length === 1 ? 'line' : 'lines'}, then Python ${version} from ${prefix}` }
    : {
        status: 'fail',
        found: `${python} is ${version}`,
        advice: `The agent needs 3.6 or newer: set python in config/systems/${name}.yaml.`,
      };
}

/** Writes and removes a file as a launch would, and asks for room: bytes and inodes (R19). */
async function checkFolder({ name, base = '~/holdfast' }: PbsProfile, shell: RemoteShell): Promise<Found> {
  const script =
    'case $1 in "~"*) d="$HOME$(printf %s "$1" | cut -c 2-)";; *) d=$1;; esac; mkdir -p "$d" && f=$(mktemp "$d/.hf-doctor.XXXXXX") && rm -f "$f" && echo "hf-folder $d"; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; df -Pk "$d" | tail -n 1; df -Pi "$d" 2>/dev/null | tail -n 1';
  const lines = (await said(shell, script, undefined, [base])).split('\n');
  const folder = lines.find((line) => line.startsWith('hf-folder '))?.slice('hf-folder '.length);
  if (folder === undefined)
    return {
      status: 'fail',
      found: `${base} cannot be written`,
      advice: `Set base in config/systems/${name}.yaml (or working_dirs.remote_base in the campaign) to a folder of your project.`,
    };
  const rows = lines.filter((line) => /\s\d+%\s|\s-\s/.test(line)).map((line) => Number(line.trim().split(/\s+/)[3] ?? Number.NaN));
  const [kilobytes = Number.NaN, inodes = Number.NaN] = rows;
  const found = [
    folder,
    ...(Number.isNaN(kilobytes) ? [] : [`${Math.round((kilobytes * 1024) / 1e9)} GB free`]),
    ...(Number.isNaN(inodes) || inodes === 0 ? [] : [`${inodes} files free`]),
  ].join(', ');
  const isNarrow = kilobytes * 1024 < FEW_BYTES || (inodes > 0 && inodes < FEW_INODES);
  return isNarrow
    ? {
        status: 'warn',
        found,
        advice: 'Remove old launches there, or set base to a folder with more room (myquota, myprojectquotas at ALCF).',
      }
    : { status: 'ok', found };
}

/** The newest qsub of our launches that the site refused, in its own words. */
const REFUSALS_PROGRAM = `
import glob, json, os, sys
found = []
for name in glob.glob(os.path.expanduser("~/.holdfast/" + sys.argv[1] + "/launches/*.json")):
    try:
        with open(name) as stream:
            folder = json.load(stream)["directory"]
    except (OSError, ValueError, KeyError):
        continue
    for words in glob.glob(os.path.join(glob.escape(folder), "pilots", "*", "pbs", "answer")):
        with open(words) as stream:
            said = stream.read().split()
        if len(said) == 3 and said[:2] == ["failed", "qsub"]:
            try:
                with open(os.path.join(os.path.dirname(words), "qsub.err"), errors="replace") as stream:
                    found.append((os.stat(words).st_mtime, int(said[2]), stream.read(2000)))
            except (OSError, ValueError):
                continue
print("hf-refusal " + json.dumps(max(found)[1:] if found else None))
`;

async function checkRefusals({ name }: PbsProfile, shell: RemoteShell): Promise<Found> {
  const text = await said(shell, 'exec python3 -I -c "$2" "$1"', undefined, [name, REFUSALS_PROGRAM]);
  const line = /^hf-refusal (.*)$/m.exec(text)?.[1];
  if (line === undefined) return { status: 'skip', found: 'the launches there cannot be read' };
  const last = JSON.parse(line) as [number, string] | null;
  if (last === null) return { status: 'ok', found: 'none in the launches that are open' };
  const { action, message, advice } = judgeExit('qsub', last[0], last[1]);
  return { status: action === 'refuse' ? 'fail' : 'warn', found: message, advice };
}
