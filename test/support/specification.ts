/** The smallest campaign as a user's file has it: one parameter, which the scripted systems return as the objective. */
export function specification(change: object = {}): object {
  return {
    version: 1,
    name: 'scripted',
    system: 'local',
    objective: { metric: 'x', direction: 'maximize' },
    search_space: { x: { type: 'float', min: 0, max: 1 } },
    sampler: { type: 'random', seed: 7 },
    training: { command: ['true'] },
    ...change,
  };
}
