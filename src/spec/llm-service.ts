import { existsSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { packageRoot } from '../package-root.ts';
import { BadSpec } from './bad-spec.ts';
import { problemsOf } from './issues.ts';
import { suggest } from './problem.ts';
import { day, text, textList } from './scalars.ts';
import { section } from './section.ts';
import { readSource } from './source.ts';
import { yamlNames } from './yaml-names.ts';

const url = () => z.url({ protocol: /^https?$/ });

/** A dated profile of an inference service under config/llm: models in the order in which they are asked, and the login. */
export const llmServiceSchema = section({
  version: z.literal(1),
  name: text(),
  title: text().exactOptional(),
  as_of: day(),
  source: textList(),
  models: z
    .array(section({ base_url: url(), model: text(), tools: z.boolean().exactOptional(), jobs_url: url().exactOptional() }))
    .min(1)
    .meta({
      description:
        'In the order in which they are asked; tools: false where calls of functions are not served; jobs_url: says which models are loaded now, they are asked first',
    }),
  globus: section({
    client_id: z.uuid(),
    resource_server: text(),
    app: text(),
    scope: text(),
    session_policy: z.uuid().exactOptional().meta({ description: 'Session policy that a login must satisfy' }),
    domains: z.array(text()).default([]).meta({ description: 'Identity providers that the service accepts' }),
  }).exactOptional(),
});

export type LlmService = z.output<typeof llmServiceSchema>;

/**
 * Reads `config/llm/<name>.yaml` of the working folder, else of the package.
 * @throws BadSpec with every problem; for an unknown name, with the names that there are.
 */
export function loadLlmService(name: string, workingFolder = process.cwd()): LlmService {
  const folders = [...new Set([path.join(workingFolder, 'config', 'llm'), path.join(packageRoot(), 'config', 'llm')])];
  const file = folders.map((folder) => path.join(folder, `${name}.yaml`)).find((each) => existsSync(each));
  if (file === undefined) {
    throw new BadSpec(name, [{ path: '', what: `there is no inference service "${name}"`, next: suggest(name, yamlNames(folders)) }]);
  }
  const inside = path.relative(workingFolder, file);
  const source = readSource(inside.startsWith('..') ? file : inside, workingFolder);
  const parsed = llmServiceSchema.safeParse(source.value);
  if (!parsed.success) throw new BadSpec(source.name, problemsOf(parsed.error.issues, source.value, []).map(source.place));
  return parsed.data;
}
