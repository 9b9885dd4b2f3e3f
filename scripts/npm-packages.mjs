// The packages of package-lock.json. A registry that does not answer is noticed in seconds: npm alone tries for more than a minute and says nothing.
import { run, SetupFailed } from './setup.mjs';

/** Codes of npm for a registry to which no way leads; any answer at all, a refusal too, is none of them. */
const UNREACHABLE = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'FETCH_ERROR',
]);

/** Longest wait for the registry's first sign of life. */
const PATIENCE_MS = 15_000;

/** Installs them in `folder`; from npm's cache where the registry cannot be reached. Throws SetupFailed. */
export async function installNodePackages(folder, say, patience = PATIENCE_MS) {
  const problem = await registryProblem(folder, patience);
  if (problem !== undefined) say(`the npm registry does not answer (${problem}); looking into npm's cache …`);
  const flags = ['--no-audit', '--no-fund', '--loglevel', 'error', ...(problem === undefined ? [] : ['--offline'])];
  const npm = (...words) => run('npm', [...words, ...flags], { cwd: folder });
  try {
    // A registry that carries only some platforms' binaries makes a lock file that `ci` calls out of step; `install` keeps the versions it names.
    await npm('ci').catch((error) => {
      if (String(error.cause).includes('EUSAGE')) return npm('install', '--no-save');
      throw error;
    });
  } catch (error) {
    if (problem === undefined) throw error;
    throw new SetupFailed(
      `The npm registry cannot be reached (${problem}), and npm's cache does not hold the packages: the first run needs the network. Check it, \`npm config get registry\` and \`npm config get https-proxy\`, then run this again.`,
    );
  }
}

/** npm's own question to the registry that it is configured for, once; npm's code when nothing answers. Under `npm run -s` npm would not say it. */
async function registryProblem(folder, patience) {
  try {
    await run('npm', ['ping', '--loglevel=error', '--fetch-retries=0', `--fetch-timeout=${patience}`], { cwd: folder });
    return undefined;
  } catch (error) {
    const code = /npm (?:error|ERR!) code (\w+)/.exec(String(error.cause ?? ''))?.[1];
    return code !== undefined && UNREACHABLE.has(code) ? code : undefined;
  }
}
