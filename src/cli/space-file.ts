import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Objective } from '../domain/campaign.ts';
import type { Parameter, ParameterValue, Space } from '../domain/space.ts';
import { admitCampaign } from '../spec/admit.ts';
import { BadSpec } from '../spec/bad-spec.ts';
import { isMapping } from '../spec/source.ts';

/** What `holdfast ask-tell` needs of a file. */
export interface SpaceFile {
  readonly space: Space;
  readonly objectives?: readonly Objective[];
}

/** Keys of a campaign file that say what is searched; the others say where it runs. */
const CAMPAIGN_KEYS = ['search_space', 'constraints', 'objective'] as const;

/**
 * Reads a space from YAML or JSON in one of three forms: a campaign file (only `search_space`, `constraints` and `objective` are used), a mapping of
 * parameters as under `search_space`, or a list of parameters `{name, type, low, high, log, choices, when: {param, in}}`, by itself or under `space`.
 * @throws BadSpec with every problem.
 */
export async function readSpaceFile(file: string): Promise<SpaceFile> {
  const root = parseFile(file);
  const list = Array.isArray(root) ? root : isMapping(root) && Array.isArray(root.space) ? root.space : undefined;
  if (list) {
    const direction = isMapping(root) && root.direction === 'maximize' ? 'maximize' : 'minimize';
    return { space: fromList(file, list), objectives: [{ metric: 'value', direction, reduce: 'result' }] };
  }
  if (!isMapping(root)) throw bad(file, '', 'is no search space', 'Write a campaign file, a mapping of parameters, or a list of them.');
  const chosen = Object.fromEntries(CAMPAIGN_KEYS.filter((key) => key in root).map((key) => [key, root[key]]));
  const space = 'search_space' in root ? chosen : { search_space: root };
  // The rest of a campaign, which the admission asks for and nobody uses here.
  const whole = {
    name: 'ask-tell',
    training: { command: ['true'] },
    budget: { trials: 1 },
    objective: { metric: 'value', direction: 'minimize' },
    ...space,
  };
  const spec = await admitCampaign(whole);
  return 'objective' in root ? { space: spec.space, objectives: spec.objectives } : { space: spec.space };
}

function parseFile(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw bad(file, '', `${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`, 'Check its name and permissions.');
  }
  try {
    return parse(text);
  } catch (error) {
    throw bad(file, '', `is no YAML: ${(error as Error).message.split('\n')[0]}`, 'Check the line it names.');
  }
}

const bad = (file: string, path: string, what: string, next: string): BadSpec => new BadSpec(file, [{ path, what, next, file }]);

function fromList(file: string, list: readonly unknown[]): Space {
  const parameters = list.map((entry, i): Parameter => {
    const at = `[${i}]`;
    if (!isMapping(entry) || typeof entry.name !== 'string') throw bad(file, at, 'is no parameter', 'Write {name: …, type: …}.');
    const { name, type } = entry;
    const when = conditionOf(file, `${at}.when`, entry.when);
    if (type === 'float' || type === 'int') {
      const [min, max] = [entry.low ?? entry.min, entry.high ?? entry.max];
      if (typeof min !== 'number' || typeof max !== 'number' || !(min <= max))
        throw bad(file, at, 'has no low and high with low ≤ high', 'Give both as numbers.');
      if (entry.log === true && min <= 0) throw bad(file, at, 'is on a log scale and begins at or below 0', 'Raise low above 0.');
      const step = typeof entry.step === 'number' ? { step: entry.step } : {};
      return { name, type, min, max, ...step, ...(entry.log === true ? { log: true } : {}), ...when };
    }
    if (type === 'categorical' || type === 'ordinal') {
      const values = entry.choices ?? entry.values;
      if (!Array.isArray(values) || values.length === 0) throw bad(file, at, 'has no choices', 'List at least one.');
      return { name, type, values: values as ParameterValue[], ...when };
    }
    throw bad(file, `${at}.type`, `is ${JSON.stringify(type)}`, 'Must be float, int, categorical or ordinal.');
  });
  return { parameters: parentsFirst(file, parameters) };
}

function conditionOf(file: string, at: string, when: unknown): Pick<Parameter, 'when'> {
  if (when === undefined || when === null) return {};
  if (!isMapping(when) || typeof when.param !== 'string' || !Array.isArray(when.in))
    throw bad(file, at, 'is no condition', 'Write {param: name, in: [values]}.');
  return { when: { [when.param]: when.in as ParameterValue[] } };
}

function parentsFirst(file: string, parameters: readonly Parameter[]): Parameter[] {
  const out: Parameter[] = [];
  const rest = [...parameters];
  while (rest.length > 0) {
    const at = rest.findIndex((p) => Object.keys(p.when ?? {}).every((name) => out.some((o) => o.name === name)));
    if (at < 0) throw bad(file, rest[0]?.name ?? '', 'depends on a parameter that is not there, or on itself', 'Check its when.');
    out.push(...rest.splice(at, 1));
  }
  return out;
}
