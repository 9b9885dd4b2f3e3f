import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import type { KnownResult, MetricConstraint, Objective } from '../domain/campaign.ts';
import type { ParameterValue, Space } from '../domain/space.ts';
import { packParams } from '../search/warm-start.ts';
import { problemsOfPoint } from './point-checks.ts';
import { type Problem, suggest } from './problem.ts';
import { text } from './scalars.ts';
import { strict } from './section.ts';
import { isMapping } from './source.ts';
import { parameterValue } from './space-schema.ts';

/** Results travel in the workflow's input and from run to run: about 200 bytes each. */
export const MOST_RESULTS = 1000;
const LARGEST_FILE_BYTES = 1024 * 1024;
/** A file of another space is wrong in every line; so many are told. */
const MOST_TOLD = 5;

const entrySchema = strict({
  params: z.record(z.string(), parameterValue()),
  values: z.record(z.string(), z.number()).meta({ description: 'Value by metric, one for each objective' }),
  metrics: z.record(z.string(), z.number()).optional().meta({ description: 'Metrics that metric_constraints name' }),
  from: z.string().optional().meta({ description: 'Where it comes from, for people' }),
});

/** One result of an earlier campaign, a line of the file that `holdfast adopt` writes. */
export type WarmStartEntry = z.output<typeof entrySchema>;

/** The key `warm_start`: a file of `holdfast adopt`, or the results themselves. */
export const warmStartSchema = z.union([text(), z.array(entrySchema)]).meta({
  description:
    'Results of earlier campaigns that the sampler knows from the start: a file that `holdfast adopt` wrote, or a list of {params, values}',
});

/** The results of `warm_start`, packed; `problems` gets what does not fit the space or the objectives, with the line of the file. */
export function admitWarmStart(
  given: string | readonly WarmStartEntry[] | undefined,
  {
    space,
    objectives,
    metricConstraints,
  }: { space: Space; objectives: readonly Objective[]; metricConstraints: readonly MetricConstraint[] | undefined },
  folder: string,
  problems: Problem[],
): KnownResult[] {
  if (given === undefined) return [];
  const found: Problem[] = [];
  const entries = typeof given === 'string' ? readEntries(given, folder, found) : given;
  const place = (index: number) => (typeof given === 'string' ? ['warm_start'] : ['warm_start', index]);
  const where = (index: number) => (typeof given === 'string' ? ` (${given}:${index + 1})` : '');
  if (entries.length > MOST_RESULTS)
    found.push({
      path: ['warm_start'],
      what: `has ${entries.length} results, more than the ${MOST_RESULTS} that a campaign carries`,
      next: `Choose some: \`holdfast adopt … --limit ${MOST_RESULTS}\`.`,
    });
  const results = entries.map((entry, index): KnownResult => {
    for (const problem of problemsOfPoint(space, entry.params, place(index)))
      found.push({
        ...problem,
        path: typeof given === 'string' ? ['warm_start'] : problem.path,
        what: `${nameIn(problem, given)}${problem.what}${where(index)}`,
      });
    const values = objectives.map(({ metric }) => {
      const value = entry.values[metric];
      if (value === undefined)
        found.push({
          path: place(index),
          what: `lacks the value of ${metric}${where(index)}`,
          next: suggest(metric, Object.keys(entry.values)),
        });
      return value ?? Number.NaN;
    });
    const constants: Record<string, ParameterValue> = {};
    for (const parameter of space.parameters)
      if (parameter.type === 'constant' && parameter.when === undefined) constants[parameter.name] = parameter.value;
    return {
      params: packParams(space, { ...constants, ...entry.params }),
      values,
      ...(metricConstraints === undefined
        ? {}
        : { constraintValues: metricConstraints.map(({ metric }) => entry.metrics?.[metric] ?? null) }),
    };
  });
  problems.push(...found.slice(0, MOST_TOLD));
  if (found.length > MOST_TOLD)
    problems.push({
      path: ['warm_start'],
      what: `has ${found.length - MOST_TOLD} more such problems`,
      next: '`holdfast adopt` leaves out what does not fit.',
    });
  return results;
}

/** In a file the path says only where the file is named: the parameter's name goes into the sentence. */
function nameIn(problem: Problem, given: unknown): string {
  const last = problem.path.at(-1);
  return typeof given === 'string' && typeof last === 'string' && last !== 'warm_start' ? `${last} ` : '';
}

function readEntries(file: string, folder: string, problems: Problem[]): WarmStartEntry[] {
  const absolute = path.resolve(folder, file);
  try {
    const { size } = statSync(absolute);
    if (size <= LARGEST_FILE_BYTES) return entriesOf(readFileSync(absolute, 'utf8'), file, problems);
    problems.push({
      path: ['warm_start'],
      what: `${file} has ${size} bytes`,
      next: `Choose some results: \`holdfast adopt … --limit ${MOST_RESULTS}\`.`,
    });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined) throw error;
    const what = code === 'ENOENT' ? `${file} is not there (looked in ${folder})` : `${file} cannot be read: ${code}`;
    problems.push({ path: ['warm_start'], what, next: 'Write it with `holdfast adopt`.' });
  }
  return [];
}

function entriesOf(content: string, file: string, problems: Problem[]): WarmStartEntry[] {
  return content.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const parsed = entrySchema.safeParse(jsonOf(line));
    if (parsed.success) return [parsed.data];
    problems.push({
      path: ['warm_start'],
      what: `holds no result {"params": …, "values": …} (${file}:${index + 1})`,
      next: 'Write it with `holdfast adopt`.',
    });
    return [];
  });
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * A campaign's source with the results in the place of the file's name, so that a worker elsewhere need not have the file. Left as it is when the file cannot
 * be read: the admission says why.
 */
export function inlineWarmStart(source: unknown, folder: string): unknown {
  if (!isMapping(source) || typeof source.warm_start !== 'string') return source;
  const problems: Problem[] = [];
  const entries = readEntries(source.warm_start, folder, problems);
  return problems.length > 0 ? source : { ...source, warm_start: entries };
}
