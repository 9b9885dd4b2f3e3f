import { describe, expect, it } from 'vitest';
import { workflowName } from '../../../src/cli/start-commands.ts';

describe('the id that a campaign is given by its name', () => {
  it.each([
    ['digits', 'digits'],
    ['größe', 'grosse'],
    ['Ångström  é/è', 'Angstrom-e-e'],
    ['a -- b', 'a-b'],
    ['../../etc', 'etc'],
    ['日本語', 'campaign'],
    ['x'.repeat(100), 'x'.repeat(60)],
  ])('%s is %s', (name, id) => {
    expect(workflowName(name)).toBe(id);
  });
});
