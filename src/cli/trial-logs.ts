import type { Client } from '@temporalio/client';
import { attemptName } from '../domain/ids.ts';
import { DriverError } from '../systems/driver.ts';
import { localProgram } from '../systems/globus/endpoint-command.ts';
import type { Exit } from './exit-codes.ts';
import { type CliIo, print } from './io.ts';
import { systemShell } from './system-shell.ts';
import { type LogsOptions, type TrialFile, trialFile } from './trial-commands.ts';

/** Lines of each log. */
const LINES = 50;
/** A look at logs is not worth waiting longer for a free worker. */
const QUEUE_SECONDS = 120;

/**
 * Everything that has something to say about one attempt: the training's stderr and stdout; the agent's log and the output of the batch job that it ran in;
 * the endpoint's own logs and the outputs of its batch jobs (row S25).
 */
const SCRIPT = `
n=$1 launch=$2 attempt=$3 pilot=$4 endpoint=$5
show() { if [ -s "$1" ]; then printf '==> %s <==\\n' "$1"; tail -n "$n" "$1" | tail -c 60000; echo; fi; }
newest() { ls -t "$@" 2>/dev/null | head -n 4 | while read -r file; do show "$file"; done; }
for file in "$launch/$attempt/stderr.log" "$launch/$attempt/stdout.log" "$launch/pilots/$pilot"/agent*.log; do show "$file"; done
newest "$launch/pilots/$pilot"/pbs/*
if [ -n "$endpoint" ]; then
  base=$GLOBUS_COMPUTE_USER_DIR
  if [ -z "$base" ]; then base=$HOME/.globus_compute; fi
  for file in "$base"/*/endpoint.json; do
    if grep -q "$endpoint" "$file" 2>/dev/null; then show "$(dirname "$file")/endpoint.log"; fi
  done
  for file in "$base"/uep."$endpoint".*/endpoint.log; do show "$file"; done
  newest "$base"/uep."$endpoint".*/submit_scripts/*.std*
fi
exit 0
`;

/**
 * `holdfast logs TRIAL --all`: the ends of all logs about a trial, from where it ran; when that cannot be reached, what is on this computer, and exit
 * `failed`.
 */
export async function allLogs(
  client: Client,
  words: readonly [first: string, second: string | undefined],
  options: LogsOptions,
  io: CliIo,
): Promise<Exit> {
  const trial = await trialFile(client, words[0], words[1], options.attempt);
  const { launch, spec } = trial.description;
  if (launch === undefined) {
    io.errors.write(`${trial.campaign} has no launch folder yet. See holdfast status ${trial.campaign}.\n`);
    return 'failed';
  }
  const read = (folder: string, place: 'here' | 'there') => readLogs(scriptArguments(trial, folder, options), trial, place, io);
  let text: string;
  let reason: string | undefined;
  try {
    text = await read(launch.directory, spec.system.kind === 'local' ? 'here' : 'there');
  } catch (error) {
    if (!(error instanceof DriverError)) throw error;
    reason = error.message;
    text = await read(launch.localDirectory, 'here');
  }
  print(
    io,
    options,
    { campaign: trial.campaign, trial: trial.number, text, ...(reason === undefined ? {} : { notReached: reason }) },
    text,
  );
  if (text === '')
    io.errors.write(`Nothing has been written about trial ${trial.number} yet. See holdfast why ${trial.campaign} ${trial.number}.\n`);
  if (reason === undefined) return 'ok';
  io.errors.write(`${spec.system.name} could not be asked, so these are the copies on this computer. ${reason}\n`);
  return 'failed';
}

function scriptArguments({ view, description, number, directory }: TrialFile, launch: string, options: LogsOptions): string[] {
  const { system } = description.spec;
  const attempt = options.attempt ?? view.attempt;
  // On Globus Compute each attempt has an agent of its own.
  const isGlobus = system.kind === 'globus_compute';
  const pilot = isGlobus ? `one-${attemptName(number, attempt)}` : (view.attempts.find((seen) => seen.attempt === attempt)?.pilot ?? '');
  const endpoint = isGlobus && typeof system.settings.endpointId === 'string' ? system.settings.endpointId : '';
  return [String(options.lines ?? LINES), launch, directory ?? '', pilot, endpoint];
}

async function readLogs(args: readonly string[], { description }: TrialFile, place: 'here' | 'there', io: CliIo): Promise<string> {
  if (place === 'here') return (await localProgram({ ...process.env, ...io.env })(['/bin/sh', '-c', SCRIPT, 'holdfast', ...args])).stdout;
  const { name, settings } = description.spec.system;
  const shell = await systemShell(name, settings, io, QUEUE_SECONDS);
  try {
    const answer = await shell.run({ script: SCRIPT, args }, io.interrupted);
    if (answer.kind === 'unknown') throw new DriverError('transport', 'HF-NO-LOG', `The answer did not come: ${answer.why}.`);
    return answer.stdout.toString('utf8');
  } finally {
    await shell.close();
  }
}
