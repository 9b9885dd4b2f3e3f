import type { TrainingConfig } from '../domain/campaign.ts';
import type { CampaignSections } from './campaign-schema.ts';
import { type Problem, suggest } from './problem.ts';

/** Placeholders of the training command that are not parameters; what they stand for is told in docs/campaign-file.md. */
export const COMMAND_PLACEHOLDERS = ['python', 'code', 'out', 'params_file', 'data_dir', 'trial', 'attempt', 'slot'] as const;

/** As the agent reads them: `{{name}}` stands for `{name}` itself. */
const PLACEHOLDER = /\{\{([A-Za-z_][\w.-]*)\}\}|\{([A-Za-z_][\w.-]*)\}/g;

/** The training block with the guide's `data.dir` folded in; placeholders that name nothing are problems (as far as the parameters are known). */
export function admitTraining(
  sections: Partial<CampaignSections>,
  parameters: readonly string[] | undefined,
  problems: Problem[],
): TrainingConfig | undefined {
  const { training, data, search_space: space } = sections;
  if (training === undefined) return undefined;
  const { dataDir: own, ...rest } = training;
  if (own !== undefined && data !== undefined && own !== data.dir) {
    problems.push({
      path: ['training', 'data_dir'],
      what: `is ${JSON.stringify(own)}, but data.dir is ${JSON.stringify(data.dir)}`,
      next: 'They mean the same: keep one.',
    });
  }
  const dataDir = own ?? data?.dir;
  const path = ['training', 'command'];
  const known: readonly string[] = [...COMMAND_PLACEHOLDERS, ...(parameters ?? [])];
  const named = new Set(
    training.command.flatMap((word) => [...word.matchAll(PLACEHOLDER)].flatMap(([, , name]) => (name === undefined ? [] : [name]))),
  );
  for (const name of named) {
    if (parameters !== undefined && !known.includes(name))
      problems.push({ path, what: `has {${name}}, which names nothing`, next: suggest(name, known) });
    else if (name === 'code' && training.bundle === undefined)
      problems.push({ path, what: 'has {code}, but there is no training.bundle', next: 'Name the folder of your training code.' });
    else if (name === 'data_dir' && dataDir === undefined)
      problems.push({ path, what: 'has {data_dir}, but there is no training.data_dir', next: 'Name the folder of the data set.' });
    else if (space?.[name]?.when !== undefined)
      problems.push({
        path,
        what: `has {${name}}, which is missing from points where its \`when\` does not hold`,
        next: 'Read it from {params_file}.',
      });
  }
  for (const name of parameters ?? []) {
    if (COMMAND_PLACEHOLDERS.includes(name as (typeof COMMAND_PLACEHOLDERS)[number])) {
      problems.push({
        path: ['search_space', name],
        what: `has the name of the placeholder {${name}}`,
        next: 'Give the parameter another name.',
        atKey: true,
      });
    }
  }
  return { ...rest, ...(dataDir === undefined ? {} : { dataDir }) };
}
