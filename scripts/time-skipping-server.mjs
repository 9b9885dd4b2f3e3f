// Temporal's test server that skips time, from Maven Central, for tests of long timers. It is Java: where Java or Maven is missing, they are left out.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root, run } from './setup.mjs';

/** Path of an executable that the SDK can start as a test server; undefined with a reason when it cannot be had. */
export async function ensureTimeSkippingServer(say) {
  const folder = path.join(root, '.cache', 'time-skipping');
  const script = path.join(folder, 'test-server');
  if (existsSync(script)) return { executable: script };
  for (const tool of ['java', 'mvn']) {
    if (spawnSync(tool, ['-version']).status !== 0) return { reason: `${tool} is not here` };
  }
  say('fetching the time-skipping test server …');
  const jars = path.join(folder, 'jars');
  try {
    await run('mvn', ['-q', '-f', 'test/support/time-skipping/pom.xml', 'dependency:copy-dependencies', `-DoutputDirectory=${jars}`]);
  } catch (error) {
    return { reason: error.message.split('\n')[0] };
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(script, `#!/bin/sh\nexec java -cp '${jars}/*' io.temporal.testserver.TestServer "$@"\n`);
  chmodSync(script, 0o755);
  return { executable: script };
}
