import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { MetricConstraint, Objective } from '../domain/campaign.ts';
import type { Condition, Parameter, Space } from '../domain/space.ts';
import { admitCampaign } from '../spec/admit.ts';
import { BadSpec } from '../spec/bad-spec.ts';
import { isMapping } from '../spec/source.ts';
import { inOurWords } from './space-spellings.ts';

/** What `holdfast ask-tell` needs of a file. */
export interface SpaceFile {
  readonly space: Space;
  readonly objectives?: readonly Objective[];
  readonly metricConstraints?: readonly MetricConstraint[];
}

/** Keys of a campaign file that say what is searched; the others say where it runs. */
const CAMPAIGN_KEYS = ['constraints', 'metric_constraints', 'objective'] as const;

/** Where the space stands in a file that holds more than the space. */
const SPACE_KEYS = ['search_space', 'space', 'parameters'] as const;

/**
 * Reads a space from YAML or JSON in one of three forms: a campaign file (only `search_space`, `constraints`, `objective` and `metric_constraints` are used),
 * a mapping of parameters as under `search_space`, or a list of parameters `{name, type, low, high, log, choices, when: {param, in}}`, by itself or under `space`.
 * @throws BadSpec with every problem.
 */
export async function readSpaceFile(file: string): Promise<SpaceFile> {
  const root = parseFile(file);
  if (!isMapping(root) && !Array.isArray(root))
    throw bad(file, '', 'is no search space', 'Write a campaign file, a mapping of parameters, or a list of them.');
  const around = isMapping(root) ? root : {};
  const given = spaceIn(root);
  const { entries, names } = Array.isArray(given) ? fromList(file, given) : { entries: given, names: new Map<string, string>() };
  const search_space = isMapping(entries) ? Object.fromEntries(Object.entries(entries).map(([name, e]) => [name, inOurWords(e)])) : entries;
  const chosen = given === root ? {} : Object.fromEntries(CAMPAIGN_KEYS.filter((key) => key in around).map((key) => [key, around[key]]));
  const isDirected = around.direction === 'minimize' || around.direction === 'maximize';
  // The rest of a campaign, which the admission asks for and nobody uses here.
  const spec = await admitCampaign({
    name: 'ask-tell',
    training: { command: ['true'] },
    budget: { trials: 1 },
    objective: { metric: 'value', direction: isDirected && given !== root ? around.direction : 'minimize' },
    search_space,
    ...chosen,
  });
  return {
    space: named(spec.space, names),
    ...('objective' in chosen || (isDirected && given !== root) ? { objectives: spec.objectives } : {}),
    ...(spec.metricConstraints === undefined ? {} : { metricConstraints: spec.metricConstraints }),
  };
}

/** The part of a file that is the space: under one of the keys, or all of it. */
function spaceIn(root: unknown): unknown {
  if (!isMapping(root)) return root;
  if ('search_space' in root) return root.search_space;
  const key = SPACE_KEYS.find((name) => Array.isArray(root[name]) || isSpace(root[name]));
  return key === undefined ? root : root[key];
}

/** A mapping of parameters, and not a parameter that happens to be called `space`. */
const isSpace = (value: unknown): boolean =>
  isMapping(value) && Object.values(value).length > 0 && Object.values(value).every((entry) => isMapping(entry) && 'type' in entry);

function parseFile(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isAbsent = code === 'ENOENT' || code === 'ENOTDIR';
    throw isAbsent
      ? new BadSpec(file, [{ path: '', what: `${file} is not there (looked in ${process.cwd()})`, next: 'Check its name.' }])
      : bad(file, '', `${file} cannot be read: ${code}`, 'Check its name and permissions.');
  }
  try {
    return parse(text);
  } catch (error) {
    throw bad(file, '', `is no YAML: ${(error as Error).message.split('\n')[0]}`, 'Check the line it names.');
  }
}

const bad = (file: string, path: string, what: string, next: string): BadSpec => new BadSpec(file, [{ path, what, next, file }]);

interface Listed {
  readonly entries: Readonly<Record<string, unknown>>;
  /** Our name → the list's, for names that a campaign file cannot have. */
  readonly names: ReadonlyMap<string, string>;
}

/** A list as a mapping. Names that are no identifiers (`eta.x`) travel under another name and come back at the end. */
function fromList(file: string, list: readonly unknown[]): Listed {
  const entries: Record<string, unknown> = {};
  const names = new Map<string, string>();
  const ours = new Map<string, string>();
  list.forEach((entry, i) => {
    if (!isMapping(entry) || typeof entry.name !== 'string') throw bad(file, `[${i}]`, 'is no parameter', 'Write {name: …, type: …}.');
    if (ours.has(entry.name)) throw bad(file, `[${i}].name`, `${entry.name} stands in the list twice`, 'Give each its own name.');
    let own = /^[A-Za-z_]\w*$/.test(entry.name) && !(entry.name in Object.prototype) ? entry.name : `p_${entry.name.replace(/\W/g, '_')}`;
    while (own in entries) own += '_';
    ours.set(entry.name, own);
    names.set(own, entry.name);
    entries[own] = inOurWords(entry);
  });
  for (const entry of Object.values(entries))
    if (isMapping(entry) && isMapping(entry.when))
      Object.assign(entry, {
        when: Object.fromEntries(Object.entries(entry.when).map(([name, values]) => [ours.get(name) ?? name, values])),
      });
  return { entries, names };
}

function named({ parameters, ...rest }: Space, names: ReadonlyMap<string, string>): Space {
  const nameOf = (name: string) => names.get(name) ?? name;
  const conditionOf = (when: Condition) => Object.fromEntries(Object.entries(when).map(([name, values]) => [nameOf(name), values]));
  return {
    ...rest,
    parameters: parameters.map(
      (p): Parameter => ({ ...p, name: nameOf(p.name), ...(p.when === undefined ? {} : { when: conditionOf(p.when) }) }),
    ),
  };
}
