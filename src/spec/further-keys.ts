import type { OptionTable } from '../search/options.ts';
import { PRUNERS } from '../search/pruning/registry.ts';
import { SAMPLERS } from '../search/registry.ts';
import { STOP_OPTIONS } from '../search/stop-rules.ts';
import { admitOptions } from './options-check.ts';
import { pbsSettingsShape } from './pbs-settings.ts';
import { didYouMean, type Problem } from './problem.ts';
import { PRUNER_KEYS, SAMPLER_KEYS, STOP_KEYS, unknownType } from './search-admit.ts';
import type { Sections } from './sections.ts';
import { isMapping } from './source.ts';

/** A section whose keys beyond its own depend on what it chooses: the options of one sampler, the settings of one kind of system. */
interface OpenSection {
  /** Keys that it has in any case. */
  readonly own: readonly string[];
  /** The options that belong to the choice that was made; undefined when none can be made out. */
  readonly table: (given: Readonly<Record<string, unknown>>) => OptionTable | undefined;
  /** Every key that some choice has. */
  readonly all: readonly string[];
  /** What no choice has such a key for. */
  readonly noun: string;
}

type Named = Readonly<Record<string, { readonly options?: OptionTable }>>;

function byType(entries: Named, own: readonly string[], noun: string): OpenSection {
  return {
    own,
    table: ({ type }) => (typeof type === 'string' && Object.hasOwn(entries, type) ? (entries[type]?.options ?? {}) : undefined),
    all: [...own, ...Object.values(entries).flatMap((entry) => Object.keys(entry.options ?? {}))],
    noun,
  };
}

const OPEN_SECTIONS: Readonly<Partial<Record<keyof Sections, OpenSection>>> = {
  sampler: byType(SAMPLERS, SAMPLER_KEYS, 'sampler'),
  pruner: byType(PRUNERS, PRUNER_KEYS, 'pruner'),
  stop: { own: STOP_KEYS, table: () => STOP_OPTIONS, all: [], noun: 'stop rule' },
  system: { own: ['name'], table: () => undefined, all: ['name', ...Object.keys(pbsSettingsShape)], noun: 'system' },
};

/**
 * The further keys of sections that are wrong in themselves, or whose choice is not known, so that such a mistake hides no other. Where the choice is not
 * known (`sampler.type` is missing or misspelt), a key that none of the choices has is a mistake all the same.
 */
export function checkFurtherKeys(root: Readonly<Record<string, unknown>>, sections: Sections, problems: Problem[]): void {
  for (const [key, { own, table, all, noun }] of Object.entries(OPEN_SECTIONS)) {
    const given = root[key];
    if (!isMapping(given)) continue;
    const options = table(given);
    const further = Object.entries(given).filter(([name]) => !own.includes(name));
    if (options !== undefined) {
      if (sections[key as keyof Sections] === undefined) admitOptions(options, Object.fromEntries(further), [key], own, problems);
      continue;
    }
    if (key === 'system' && sections.system !== undefined) continue;
    // Where the section is right by itself, its own admission says so.
    const type = given.type;
    if ((key === 'sampler' || key === 'pruner') && sections[key] === undefined && typeof type === 'string')
      problems.push(unknownType(key, type, Object.keys(key === 'sampler' ? SAMPLERS : PRUNERS)));
    for (const [name] of further) {
      if (all.includes(name)) continue;
      const next = didYouMean(name, all) ?? `No ${noun} has it: remove it.`;
      problems.push({ path: [key, name], what: 'is not a key here', next, atKey: true });
    }
  }
}
