import { z } from 'zod';
import type { CampaignSpec } from '../../domain/campaign.ts';
import type { DoneRecord, LaunchRecord, OfferRecord } from '../../domain/spool.ts';
import type { RemoteShell } from '../../ssh/transport.ts';
import { DriverError } from '../driver.ts';
import type { SpoolContents } from './recover-table.ts';

/** Prints everything that a launch folder says of its trials, as one JSON document. Python 3.6, standard library. */
const PROGRAM = `
import json, os, sys
root = os.path.expanduser(sys.argv[1])
def load(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream, parse_constant=lambda word: None)
    except (OSError, ValueError):
        return None
def folder(*parts):
    path = os.path.join(root, *parts)
    names = sorted(os.listdir(path)) if os.path.isdir(path) else []
    return [each for each in (load(os.path.join(path, name)) for name in names if name.endswith(".json")) if isinstance(each, dict)]
claimed = os.path.join(root, "spool", "claimed")
agents = sorted(os.listdir(claimed)) if os.path.isdir(claimed) else []
done = folder("spool", "collected") + folder("spool", "done")
offers = folder("spool", "ready") + [offer for agent in agents for offer in folder("spool", "claimed", agent)]
params = {each["trial"]: load(os.path.join(root, os.path.dirname(each["directory"]), "params.json")) for each in done if "directory" in each}
json.dump({"launch": load(os.path.join(root, "launch.json")), "campaign": load(os.path.join(root, "campaign.json")), "done": done,
           "offers": offers, "params": {trial: each for trial, each in params.items() if each is not None}}, sys.stdout)
`;

const contents = z.object({
  launch: z
    .looseObject({ version: z.literal(1), campaign: z.string() })
    .transform((record) => record as unknown as LaunchRecord)
    .nullable(),
  campaign: z
    .looseObject({ version: z.literal(1) })
    .transform((spec) => spec as unknown as CampaignSpec)
    .nullable(),
  done: z.array(
    z.looseObject({ trial: z.string(), attempt: z.int(), status: z.string() }).transform((record) => record as unknown as DoneRecord),
  ),
  offers: z.array(z.looseObject({ trial: z.string(), attempt: z.int() }).transform((offer) => offer as unknown as OfferRecord)),
  params: z.record(z.string(), z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]))),
});

export interface LaunchContents extends SpoolContents {
  readonly launch: LaunchRecord;
  /** The admitted campaign, where the launch folder has it. */
  readonly spec: CampaignSpec | undefined;
}

const MAX_BYTES = 512 * 1024 * 1024;

/**
 * Reads a launch folder through a shell, without anything of Temporal's.
 * @throws DriverError `refused` when there is no launch folder, `transport` when the answer did not come whole.
 */
export async function readLaunchFolder(shell: RemoteShell, directory: string): Promise<LaunchContents> {
  const answer = await shell.run({
    script: 'exec python3 -I -c "$1" "$2"',
    args: [PROGRAM, directory],
    timeoutSeconds: 600,
    maxStdoutBytes: MAX_BYTES,
  });
  if (answer.kind === 'unknown')
    throw new DriverError('transport', 'HF-PBS-ANSWER', `launch folder ${directory} was not read (${answer.why}). Try again.`);
  if (answer.code !== 0)
    throw new DriverError(
      'refused',
      'HF-RECOVER',
      `launch folder ${directory} cannot be read: ${answer.stderr.toString('utf8').trim().slice(-300)}`,
    );
  const found = contents.parse(JSON.parse(answer.stdout.toString('utf8')));
  if (found.launch === null)
    throw new DriverError(
      'refused',
      'HF-RECOVER',
      `folder ${directory} is no launch folder: it has no launch.json. Name the folder with spool/ in it.`,
    );
  return {
    launch: found.launch,
    spec: found.campaign ?? undefined,
    done: found.done,
    offers: found.offers,
    params: new Map(Object.entries(found.params)),
  };
}
