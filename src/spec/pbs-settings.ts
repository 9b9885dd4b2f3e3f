import * as z from 'zod';
import { countFromZero, duration, positiveInteger, text, textList } from './scalars.ts';
import { section } from './section.ts';

/** What a campaign may set for its batch jobs; everything absent comes from the system's profile. */
export const pbsSettingsShape = {
  queue: text().exactOptional().meta({ description: "Absent: the profile's default queue" }),
  account: text().exactOptional().meta({ description: 'Allocation that pays (#PBS -A)' }),
  project: text().exactOptional().meta({ description: 'The same as account' }),
  walltime: duration().exactOptional().meta({ description: 'Of one job; absent: the longest that the queue takes' }),
  nodes: positiveInteger().exactOptional().meta({ description: 'Nodes of one pilot; absent: the fewest that the queue takes' }),
  across_maintenance: z
    .boolean()
    .exactOptional()
    .meta({ description: 'Submit pilots whose walltime crosses a maintenance too; PBS starts them after it' }),
  mode: z.enum(['pilot', 'job']).default('pilot').meta({ description: 'pilot: one job runs many trials; job: one job per trial' }),
  max_pilots: positiveInteger().exactOptional().meta({ description: 'Jobs at once; never above what the queue allows' }),
  prefetch: countFromZero().exactOptional().meta({ description: 'Attempts that wait in the spool; absent: a tenth of the slots' }),
  filesystems: textList().exactOptional().meta({ description: '#PBS -l filesystems=' }),
  slots_per_node: positiveInteger().exactOptional().meta({ description: 'Trials at once on one node; at most what the profile has' }),
  setup: textList().exactOptional().meta({ description: "Shell lines before the agent, instead of the profile's" }),
  python: text().exactOptional(),
  directives: textList().exactOptional().meta({ description: 'Further #PBS lines, like "-m abe"' }),
};

const raw = section(pbsSettingsShape);

/** `SystemChoice.settings` of a PBS system: `project` has become `account`. */
export const pbsSettingsSchema = raw.transform(({ project, ...rest }, context) => {
  if (project !== undefined && rest.account !== undefined && project !== rest.account) {
    context.addIssue({
      code: 'custom',
      path: ['project'],
      message: `is ${JSON.stringify(project)}, but account is ${JSON.stringify(rest.account)}`,
      params: { next: 'They mean the same: keep one.' },
    });
  }
  return project === undefined ? rest : { ...rest, account: project };
});

export type PbsSettings = z.output<typeof pbsSettingsSchema>;
