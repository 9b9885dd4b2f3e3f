// What a run of Vitest came to, file by file, as JSON into $HOLDFAST_TEST_REPORT. Vitest's own JSON leaves out the time of imports and hooks, and hooks that failed.
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const DID_NOT_END = 'did not end';

export default class SuiteReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const files = modules.map(readModule);
    const unhandled = [];
    for (const error of unhandledErrors) {
      const owner = files.find(({ file }) => error.VITEST_TEST_PATH !== undefined && file === relative(error.VITEST_TEST_PATH));
      if (owner !== undefined) owner.failures.push(`unhandled error: ${firstLine(error)}`);
      // The pool's word on a process that died: its file is among the failures already.
      else if (!(firstLine(error).startsWith('[vitest-pool]') && files.some(isUnended))) unhandled.push(firstLine(error));
    }
    writeFileSync(process.env.HOLDFAST_TEST_REPORT, JSON.stringify({ files, unhandled }));
  }
}

/** A test that failed or never ended counts as failed, and so does a hook, or a file that cannot be loaded. */
function readModule(module) {
  const { setupDuration, collectDuration, duration } = module.diagnostic();
  const counts = { passed: 0, skipped: 0 };
  const failures = [];
  for (const test of module.children.allTests()) {
    const { state } = test.result();
    if (state === 'passed' || state === 'skipped') counts[state] += 1;
    else failures.push(state === 'failed' ? test.fullName : `${test.fullName}: ${DID_NOT_END}`);
  }
  for (const suite of module.children.allSuites())
    for (const error of suite.errors()) failures.push(`${suite.fullName}: ${firstLine(error)}`);
  for (const error of module.errors()) failures.push(firstLine(error));
  // A file whose process died before it was loaded has no test and no error of its own.
  if (failures.length === 0 && !['passed', 'skipped'].includes(module.state())) failures.push(DID_NOT_END);
  const seconds = (setupDuration + collectDuration + duration) / 1000;
  return { file: relative(module.moduleId), group: module.project.name, seconds, ...counts, failures };
}

function isUnended({ failures }) {
  return failures.some((name) => name.endsWith(DID_NOT_END));
}

function relative(file) {
  return path.relative(process.cwd(), file);
}

function firstLine(error) {
  return String(error.message ?? error).split('\n')[0];
}
