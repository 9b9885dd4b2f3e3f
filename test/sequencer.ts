import path from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { LONG_FIRST } from './groups.ts';

/** Vitest's own order, but for the longest files: started last, one of them would keep the machine waiting with half its cores idle. */
export class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = LONG_FIRST.indexOf(path.relative(this.ctx.config.root, moduleId));
      return index < 0 ? LONG_FIRST.length : index;
    };
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}
