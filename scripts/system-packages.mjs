// Debian packages that some suites need. Installed by name where we may (root with apt-get); otherwise those suites say that they are left out.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { run } from './setup.mjs';

/** Package, and a file that shows it is here. */
const PACKAGES = [
  ['openssh-server', '/usr/sbin/sshd'],
  ['openssh-client', '/usr/bin/ssh'],
  ['chromium', '/usr/bin/chromium'],
  ['zsh', '/usr/bin/zsh'],
  ['tcsh', '/usr/bin/tcsh'],
  ['fonts-dejavu-core', '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf'],
];

/** Installs what is missing; never fails, since no suite but its own needs it. */
export async function ensureSystemPackages(say) {
  const missing = PACKAGES.filter(([, file]) => !existsSync(file)).map(([name]) => name);
  if (missing.length === 0) return;
  const canInstall = process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0;
  if (!canInstall) {
    say(`not here: ${missing.join(', ')}. Their suites are left out; as root, apt-get install ${missing.join(' ')} brings them in.`);
    return;
  }
  say(`installing ${missing.join(', ')} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await run('apt-get', ['update', '-qq'], { env });
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], { env });
  } catch (error) {
    say(`${error.message.split('\n')[0]}: the suites that need it are left out.`);
  }
}
