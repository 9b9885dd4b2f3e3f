import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { bestPoints } from '../adopt/best-points.ts';
import { chooseEntries, type FitTarget, fitToSpace } from '../adopt/fit-to-space.ts';
import { type ForeignResults, UnreadableResults } from '../adopt/foreign-trial.ts';
import { readOptunaDatabase, readOptunaJournal } from '../adopt/read-optuna.ts';
import { readCsv, readJsonRecords } from '../adopt/read-tables.ts';
import type { CampaignSpec } from '../domain/campaign.ts';
import { trialWorkflowId } from '../domain/ids.ts';
import type { ParameterValue } from '../domain/space.ts';
import { writeAtomically } from '../report/atomic.ts';
import { admitCampaign } from '../spec/admit.ts';
import { MOST_RESULTS } from '../spec/warm-start.ts';
import { plural } from '../view/format.ts';
import { pointOf } from './change-commands.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';
import { writingTo } from './output-place.ts';
import { scriptPython } from './payload-script.ts';
import { readCampaigns } from './read-campaign.ts';

export interface AdoptOptions extends CommonOptions {
  /** Campaign file that is to begin with the results. */
  readonly into: string;
  /** Absent: a name by what is written, so that points never replace results. */
  readonly out?: string;
  readonly limit: number;
  /** Instead of results: so many of the best points, to be tried again. */
  readonly points?: number;
  /** `theirs=ours`, for parameters and metrics. */
  readonly rename: readonly string[];
  /** `name=value`: what a parameter was in every trial of the source. */
  readonly fixed: readonly string[];
  readonly study?: string;
}

/**
 * `holdfast adopt SOURCE… --into CAMPAIGN_FILE`: results of earlier campaigns (ids or results folders), CSV, JSON Lines, and Optuna studies (journal file, SQLite)
 * become the file that the campaign's `warm_start` names; with --points the best of them become a list for `enqueue`.
 */
export async function adopt(sources: readonly string[], options: AdoptOptions, io: CliIo): Promise<Exit> {
  if (options.limit > MOST_RESULTS)
    throw new CliError('usage', 'HF-USAGE', `--limit ${options.limit} is more than the ${MOST_RESULTS} results that a campaign carries.`);
  const spec = await admitCampaign(options.into, { ignoresWarmStart: true });
  const found: ForeignResults[] = [];
  for (const source of sources) found.push(await readSource(source, options, io));
  const rename = new Map(options.rename.map(pairOf));
  for (const [at, { directions }] of found.entries()) refuseOtherDirection(sources[at] as string, directions, spec.objectives, rename);
  const trials = found.flatMap((each) => each.trials);
  const target: FitTarget = {
    space: spec.space,
    objectives: spec.objectives,
    ...(spec.metricConstraints === undefined ? {} : { metricConstraints: spec.metricConstraints }),
    rename,
    fixed: new Map<string, ParameterValue>(options.fixed.length === 0 ? [] : Object.entries(pointOf(options.fixed))),
  };
  const out = outOf(options);
  const { entries, skipped } = fitToSpace(trials, target);
  const reasons = skipped.map(({ reason, count }) => `  ${plural(count, 'trial')}: ${reason}`);
  if (entries.length === 0)
    throw new CliError(
      'failed',
      'HF-NOTHING-FITS',
      [`None of ${plural(trials.length, 'trial')} fits ${options.into}${reasons.length === 0 ? '.' : ':'}`, ...reasons].join('\n'),
    );
  const chosen =
    options.points === undefined ? chooseEntries(entries, spec.objectives, options.limit) : bestPoints(entries, spec, options.points);
  const content =
    options.points === undefined
      ? chosen.map((entry) => `${JSON.stringify(entry)}\n`).join('')
      : stringify({ enqueue: chosen.map(({ params }) => params) });
  if (out === '-') io.output.write(content);
  else await writingTo('--out', out, () => writeAtomically(out, content));
  const next = options.points === undefined ? `warm_start: ${out === '-' ? 'FILE' : out}` : 'the list `enqueue` of that file';
  const text = [
    `${plural(chosen.length, options.points === undefined ? 'result' : 'point')} of ${plural(trials.length, 'trial')} written to ${out === '-' ? 'standard output' : out}. Put into ${options.into}: ${next}`,
    ...(chosen.length < entries.length
      ? [
          `${entries.length - chosen.length} more fit and were left out${options.points === undefined ? ` (--limit ${options.limit}: the best half and a spread of the rest)` : ''}.`,
        ]
      : []),
    ...(reasons.length === 0 ? [] : ['Left out:', ...reasons]),
  ].join('\n');
  // On the terminal the results themselves are the output.
  if (out === '-') io.errors.write(`${text}\n`);
  else print(io, options, { file: out, adopted: chosen.length, fitting: entries.length, trials: trials.length, skipped }, text);
  return 'ok';
}

/** Where it is written; of results and of points another file, since a campaign file may name the results. */
export function outOf({ out, points }: Pick<AdoptOptions, 'out' | 'points'>): string {
  return out ?? (points === undefined ? 'warm-start.jsonl' : 'points.yaml');
}

function pairOf(text: string): [string, string] {
  const [, theirs, ours] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (theirs === undefined || ours === undefined)
    throw new CliError('usage', 'HF-USAGE', `--rename ${text} is no pair. For example: --rename accuracy=val_accuracy`);
  return [theirs, ours];
}

/** Objectives are told apart by name where the source has names, else by their place. */
export function refuseOtherDirection(
  source: string,
  directions: ForeignResults['directions'],
  objectives: CampaignSpec['objectives'],
  rename: FitTarget['rename'] = new Map(),
): void {
  const ours = objectives.map(({ metric, direction }, at) => {
    const theirs = directions?.some((one) => one.metric !== undefined)
      ? directions.find((one) => one.metric !== undefined && (rename.get(one.metric) ?? one.metric) === metric)
      : directions?.[at];
    return { metric, direction, theirs: theirs?.direction };
  });
  const other = ours.find(({ direction, theirs }) => theirs !== undefined && theirs !== direction);
  if (other === undefined) return;
  throw new CliError(
    'usage',
    'HF-OTHER-DIRECTION',
    `${source} was to ${other.theirs} its objective, but the campaign file says ${other.direction} ${other.metric}. They cannot learn from each other.`,
  );
}

const SQLITE_MAGIC = 'SQLite format 3';

async function readSource(source: string, options: AdoptOptions, io: CliIo): Promise<ForeignResults> {
  const file = source.replace(/^sqlite:\/\/\//, '');
  if (/^[a-z+0-9]+:\/\//i.test(file))
    throw new CliError(
      'usage',
      'HF-STORAGE',
      `${source} is a database server. Export the study there (\`optuna trials --storage URL --study-name NAME -f json > study.json\`) and adopt the file.`,
    );
  if (!existsSync(file)) {
    // Ids of campaigns have no such endings; without this the answer would be that Temporal is not there, or knows no such campaign.
    if (/^[./~]|\.(db|sqlite3?|log|jsonl?|csv|tsv|txt)$/i.test(file))
      throw new CliError(
        'usage',
        'HF-NO-RESULTS',
        `${source} is not there. Name a campaign, a results folder, a table (CSV, JSON Lines) or a study of Optuna (database, journal).`,
      );
    return fromCampaign(source);
  }
  try {
    if (statSync(file).isDirectory()) return existsSync(join(file, 'trials.jsonl')) ? await fromCampaign(file) : await fromCampaign(source);
    if (firstBytes(file).startsWith(SQLITE_MAGIC)) return readOptunaDatabase(file, scriptPython(io.env), options.study);
    const text = readFileSync(file, 'utf8');
    const start = text.trimStart().slice(0, 200);
    if (/^\{[^\n]*"op_code"/.test(start)) return readOptunaJournal(text, source, options.study);
    return /^[{[]/.test(start) ? readJsonRecords(text, source) : readCsv(text, source);
  } catch (error) {
    if (error instanceof UnreadableResults) throw new CliError('failed', 'HF-UNREADABLE', error.message, { cause: error });
    throw error;
  }
}

/** What a campaign, or its results folder, has found so far. */
export async function fromCampaign(name: string): Promise<ForeignResults> {
  const [read] = await readCampaigns([name]);
  if (read === undefined) throw new Error('no campaign was read');
  const { objectives, metricConstraints = [] } = read;
  return {
    ...(read.isDirectionKnown ? { directions: objectives.map(({ metric, direction }) => ({ metric, direction })) } : {}),
    trials: read.rows.map((row) => ({
      from: trialWorkflowId(read.campaign, row.number),
      params: row.params,
      values: Object.fromEntries(objectives.map(({ metric }, at) => [metric, row.values?.[at]])),
      metrics: Object.fromEntries(metricConstraints.map(({ metric }, at) => [metric, row.constraintValues?.[at]])),
      isComplete: row.state === 'completed' && row.values !== undefined,
    })),
  };
}

function firstBytes(file: string): string {
  const descriptor = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(SQLITE_MAGIC.length);
    readSync(descriptor, bytes, 0, bytes.length, 0);
    return bytes.toString('latin1');
  } finally {
    closeSync(descriptor);
  }
}
