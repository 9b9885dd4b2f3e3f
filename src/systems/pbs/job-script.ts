import { quoteWord } from '../../ssh/quote.ts';
import { DriverError } from '../driver.ts';
import { writeWalltime } from './queues.ts';
import type { PilotShapeOfCampaign } from './shape.ts';

/** The files of a launch that PBS jobs run. `job.sh` is a template: exchange.py fills @PILOT@, @KEY@, @NODES@, @WALLTIME@, @WALLTIME_SECONDS@. */
export interface JobFiles {
  readonly 'pbs/job.sh': string;
  readonly 'pbs/environment.sh': string;
  readonly 'pbs/node.sh': string;
  readonly 'pbs/slots.json': string;
}

/** Seconds without anything to do after which an agent ends by itself, so that a job does not idle when nobody is there to stop it. */
const IDLE_EXIT_SECONDS = 900;
/** What a directive may hold: PBS reads these lines by its own rules, in which quotes and backslashes do not protect. */
const DIRECTIVE_VALUE = /^[A-Za-z0-9_.:=+,/@%-]+$/;
const DIRECTIVE_LINE = /^-[A-Za-z]( ?[A-Za-z0-9_.:=+,/@%" -]+)?$/;
/** A colon in -o would name another host, a blank would end the path. */
const PATH = /^\/[A-Za-z0-9_.+=,@%/-]*$/;

/** Directives that every job gets unless the profile or the campaign sets the same option. */
const DEFAULT_LINES = ['-k doe', '-j oe', '-r n'];

/**
 * The job script and what its nodes run. Parameters of trials are in files, never here.
 * @throws DriverError `refused` for a value or a path that PBS could misread.
 */
export function renderJob(shape: PilotShapeOfCampaign, launchDirectory: string): JobFiles {
  if (!PATH.test(launchDirectory)) {
    throw refused(
      `launch folder ${JSON.stringify(launchDirectory)} holds a character that PBS directives cannot carry. Use letters, digits and _ . + = , @ % -.`,
    );
  }
  return {
    'pbs/job.sh': jobScript(shape, launchDirectory),
    'pbs/environment.sh': environmentScript(shape),
    'pbs/node.sh': shape.mode === 'job' ? singleTrialScript(shape, launchDirectory) : agentScript(shape, launchDirectory),
    'pbs/slots.json': `${JSON.stringify(shape.slots, null, 1)}\n`,
  };
}

/** The script of one pilot as qsub gets it: what `holdfast render-job` shows. */
export function fillTemplate(
  template: string,
  values: { readonly pilot: string; readonly key: string; readonly nodes: number; readonly walltimeSeconds: number },
): string {
  const tokens: Readonly<Record<string, string>> = {
    PILOT: encodeURIComponent(values.pilot),
    KEY: values.key,
    NODES: String(values.nodes),
    WALLTIME: writeWalltime(values.walltimeSeconds),
    WALLTIME_SECONDS: String(values.walltimeSeconds),
  };
  return template.replace(/@([A-Z_]+)@/g, (token, name: string) => tokens[name] ?? token);
}

function refused(message: string): DriverError {
  return new DriverError('refused', 'HF-PBS-DIRECTIVE', message);
}

function directives(shape: PilotShapeOfCampaign, launchDirectory: string): string[] {
  const value = (what: string, text: string) => {
    if (!DIRECTIVE_VALUE.test(text))
      throw refused(
        `${what} ${JSON.stringify(text)} holds a character that a #PBS line cannot carry. Change it in the profile or the campaign.`,
      );
    return text;
  };
  const lines = shape.lines.map((line) => line.replace(/^#PBS\s+/, ''));
  for (const line of lines) {
    if (!DIRECTIVE_LINE.test(line)) throw refused(`directive ${JSON.stringify(line)} cannot stand in a #PBS line. Write it like "-m abe".`);
  }
  const given = new Set(lines.map((line) => line.slice(0, 2)));
  const select = ['@NODES@', ...shape.chunk.map((chunk) => value('select', chunk))].join(':');
  return [
    '-N @KEY@',
    ...(shape.account === undefined ? [] : [`-A ${value('account', shape.account)}`]),
    `-q ${value('queue', shape.queue)}`,
    `-l select=${select}`,
    ...(shape.place === undefined ? [] : [`-l place=${value('place', shape.place)}`]),
    '-l walltime=@WALLTIME@',
    ...(shape.filesystems.length === 0 ? [] : [`-l filesystems=${shape.filesystems.map((each) => value('filesystems', each)).join(':')}`]),
    ...DEFAULT_LINES.filter((line) => !given.has(line.slice(0, 2))),
    ...lines,
    ...(given.has('-o') ? [] : [`-o ${launchDirectory}/pilots/@PILOT@/pbs/`]),
  ].map((line) => `#PBS ${line}`);
}

function jobScript(shape: PilotShapeOfCampaign, launchDirectory: string): string {
  const start = `/bin/bash -l ${quoteWord(`${launchDirectory}/pbs/node.sh`)} @PILOT@ "$left" @NODES@`;
  const launcher = (shape.launcher ?? 'pbsdsh --').replaceAll('{nodes}', '@NODES@');
  return `${['#!/bin/bash -l', ...directives(shape, launchDirectory)].join('\n')}

# The job takes its pilot before anything else: whatever happened to the answer of qsub, one job runs. The same id may take it again after a requeue.
cd ${quoteWord(launchDirectory)}/pilots/@PILOT@/pbs || exit 90
printf '%s\\n' "$PBS_JOBID" >"claim.$PBS_JOBID" || exit 91
ln "claim.$PBS_JOBID" claim 2>/dev/null
if [ "$(cat claim 2>/dev/null)" != "$PBS_JOBID" ]; then
  echo "Another job has this pilot ($(cat claim 2>/dev/null)); nothing to do for $PBS_JOBID."
  exit 0
fi
if [ -e cancelled ]; then
  echo "This pilot was cancelled before it started."
  exit 0
fi
rm -f exit
sort -u "$PBS_NODEFILE" >nodes 2>/dev/null

# The exit file appears whole: an end on record even when PBS has forgotten the job.
finish() {
  code=$?
  trap - EXIT
  printf '%s\\n' "$code" >exit.tmp && mv exit.tmp exit
  exit "$code"
}
trap finish EXIT
child=
trap '[ -n "$child" ] && kill -TERM "$child" 2>/dev/null' TERM

. ${quoteWord(`${launchDirectory}/pbs/environment.sh`)}
left=$((@WALLTIME_SECONDS@ - SECONDS))
if [ @NODES@ = 1 ]; then
  ${start} &
else
  ${launcher} ${start} &
fi
child=$!
wait "$child"
code=$?
while kill -0 "$child" 2>/dev/null; do
  wait "$child"
  code=$?
done
exit "$code"
`;
}

function environmentScript(shape: PilotShapeOfCampaign): string {
  const exports = Object.entries(shape.env).map(([name, value]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw refused(`environment variable ${JSON.stringify(name)} is no name of a variable. Rename it.`);
    return `export ${name}=${quoteWord(value)}`;
  });
  return `# Setup lines and environment of the system's profile, on every node.\n${[...shape.setup, ...exports, 'export HOLDFAST_ENVIRONMENT="$PBS_JOBID"'].join('\n')}\n`;
}

/**
 * Starts of node.sh, which one process per node runs: pbsdsh hands no environment on, mpiexec does. What its set-up lines take (a minute of module loads)
 * is taken off the agent's time by bash's SECONDS.
 */
function nodeStart(launchDirectory: string): string {
  return `#!/bin/bash -l
# node.sh PILOT WALLTIME_SECONDS NODES: this node's part of a pilot.
launch=${quoteWord(launchDirectory)}
if [ "\${HOLDFAST_ENVIRONMENT:-}" != "$PBS_JOBID" ]; then
  . "$launch/pbs/environment.sh"
fi
cd "$launch/pilots/$1" || exit 90
node=
if [ "$3" -gt 1 ]; then
  node="--node $(hostname | cut -d. -f1)"
fi
`;
}

/** A node that lost trials of two pilots takes none of this one's, unless the pilot has no better node (R17). */
const LEAVE_BAD_NODE = `if [ "$3" -gt 1 ] && [ -e "$launch/pbs/avoid/$(hostname | cut -d. -f1)" ]; then
  for each in $(cat pbs/nodes 2>/dev/null); do
    if [ ! -e "$launch/pbs/avoid/\${each%%.*}" ]; then
      echo "$(hostname) lost trials of earlier pilots; it takes none of this one's."
      exit 0
    fi
  done
fi
`;

function agentScript(shape: PilotShapeOfCampaign, launchDirectory: string): string {
  return `${nodeStart(launchDirectory)}${LEAVE_BAD_NODE}pilot=$(${quoteWord(shape.python)} -c 'import sys, urllib.parse; print(urllib.parse.unquote(sys.argv[1]))' "$1") || exit 92
exec ${quoteWord(shape.python)} "$launch/bin/agent.py" run --launch "$launch" --pilot "$pilot" --slots ${shape.slotsPerNode} --walltime "$(($2 - SECONDS))" \\
  --slot-env "$launch/pbs/slots.json" --idle-exit ${IDLE_EXIT_SECONDS} $node
`;
}

/** One trial of what is ready. It is picked by the same rename that claims it, so that two jobs never pick one. */
function singleTrialScript(shape: PilotShapeOfCampaign, launchDirectory: string): string {
  return `${nodeStart(launchDirectory)}pilot=$(${quoteWord(shape.python)} -c 'import sys, urllib.parse; print(urllib.parse.unquote(sys.argv[1]))' "$1") || exit 92
mkdir -p "$launch/spool/claimed/$1"
for offer in "$launch"/spool/ready/*.json; do
  claim="$launch/spool/claimed/$1/$(basename "$offer")"
  mv "$offer" "$claim" 2>/dev/null || continue
  ${quoteWord(shape.python)} "$launch/bin/agent.py" one --launch "$launch" --pilot "$pilot" --offer "$claim" --walltime "$(($2 - SECONDS))" \\
    --slot-env "$launch/pbs/slots.json" >>one.log
  code=$?
  # 75: another agent has it after all.
  [ "$code" = 75 ] || exit "$code"
done
echo "Nothing was ready."
exit 0
`;
}
