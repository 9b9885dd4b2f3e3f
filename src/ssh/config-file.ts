import { readdirSync, readFileSync } from 'node:fs';
import { homedir, hostname, userInfo } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import SSHConfig from 'ssh-config';
import { sshError } from './errors.ts';

/** One host as ~/.ssh/config describes it, tokens and `~` filled in. Directives of OpenSSH that are not here have no effect on the ssh2 transport. */
export interface ResolvedHost {
  /** As the user named it. */
  readonly name: string;
  readonly hostName: string;
  readonly port: number;
  readonly user: string;
  readonly identityFiles: readonly string[];
  readonly identitiesOnly: boolean;
  /** Socket of the agent; undefined = none. */
  readonly agent: string | undefined;
  /** Hosts on the way, first hop first: `user@host:port` or a name of the config. */
  readonly jumps: readonly string[];
  readonly knownHostsFiles: readonly string[];
  /** Name under which the host's key is filed. */
  readonly keyName: string;
}

export interface HostQuery {
  readonly host: string;
  readonly user?: string | undefined;
  readonly port?: number | undefined;
  readonly configFile?: string | undefined;
}

const DEFAULT_IDENTITIES = ['id_ed25519', 'id_ecdsa', 'id_rsa'];
const MAX_INCLUDE_DEPTH = 16;

/** Reads ~/.ssh/config (or `configFile`) for one host. Throws DriverError `refused` for what the ssh2 transport cannot do. */
export function resolveHost(query: HostQuery, env: NodeJS.ProcessEnv = process.env): ResolvedHost {
  const home = env.HOME ?? homedir();
  const file = query.configFile ?? join(home, '.ssh', 'config');
  const config = SSHConfig.parse(readWithIncludes(file, home, query.configFile !== undefined));
  const localUser = userInfo().username;
  const found = config.compute({ Host: query.host, User: query.user ?? localUser }, { ignoreCase: true });
  const all = (key: string): readonly string[] => {
    const value = found[key];
    return value === undefined ? [] : Array.isArray(value) ? value : [value];
  };
  // ssh-config answers `user` with the query's user even where the file names one.
  const fileUser = config.compute(query.host, { ignoreCase: true }).user;
  const user = query.user ?? (typeof fileUser === 'string' ? fileUser : localUser);
  const port = query.port ?? Number(all('port')[0] ?? 22);
  const hostName = (all('hostname')[0] ?? query.host).replaceAll(/%[h%]/g, (token) => (token === '%h' ? query.host : '%'));
  const tokens: Record<string, string> = {
    '%%': '%',
    '%d': home,
    '%h': hostName,
    '%l': hostname(),
    '%L': hostname().split('.')[0] ?? '',
    '%n': query.host,
    '%p': String(port),
    '%r': user,
    '%u': localUser,
  };
  const fill = (path: string): string =>
    expandHome(path, home)
      .replaceAll(/%[%a-zA-Z]/g, (token) => {
        const value = tokens[token];
        if (value === undefined)
          throw sshError(
            'HF-SSH-CONFIG',
            `${token} in ${path} is not understood (${file}, host ${query.host}). Write the path out, or use transport: openssh.`,
          );
        return value;
      })
      .replaceAll(/\$\{(\w+)\}/g, (_, name: string) => env[name] ?? '');

  const proxyCommand = all('proxycommand');
  const jumps = splitJumps(all('proxyjump')[0]);
  if (proxyCommand.length > 0 && proxyCommand[0] !== 'none' && jumps.length === 0)
    throw sshError(
      'HF-SSH-CONFIG',
      `ProxyCommand of host ${query.host} cannot be used by the ssh2 transport (${file}). Use ProxyJump, or transport: openssh.`,
    );
  const identityFiles = all('identityfile').filter((name) => name !== 'none');
  const agent = all('identityagent')[0] ?? 'SSH_AUTH_SOCK';
  return {
    name: query.host,
    hostName,
    port,
    user,
    identityFiles: (identityFiles.length > 0 ? identityFiles : DEFAULT_IDENTITIES.map((name) => join(home, '.ssh', name))).map(fill),
    identitiesOnly: all('identitiesonly')[0]?.toLowerCase() === 'yes',
    agent:
      agent === 'none'
        ? undefined
        : agent === 'SSH_AUTH_SOCK'
          ? env.SSH_AUTH_SOCK
          : fill(agent.startsWith('$') ? `\${${agent.slice(1).replace(/[{}]/g, '')}}` : agent),
    jumps,
    knownHostsFiles: [
      ...(all('userknownhostsfile').length > 0 ? all('userknownhostsfile') : ['~/.ssh/known_hosts', '~/.ssh/known_hosts2']),
      ...(all('globalknownhostsfile').length > 0 ? all('globalknownhostsfile') : ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2']),
    ]
      .filter((name) => name !== 'none' && name !== '/dev/null')
      .map(fill),
    keyName: (all('hostkeyalias')[0] ?? hostName).toLowerCase(),
  };
}

/** `user@host:port`, `[::1]:22` or a plain name, as ProxyJump writes it. */
export function parseJump(jump: string): { host: string; user?: string; port?: number } {
  const match = /^(?:ssh:\/\/)?(?:([^@]+)@)?(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(jump);
  const host = match?.[2] ?? match?.[3];
  if (!match || host === undefined) throw sshError('HF-SSH-CONFIG', `ProxyJump ${jump} is not understood. Write user@host:port.`);
  return { host, ...(match[1] === undefined ? {} : { user: match[1] }), ...(match[4] === undefined ? {} : { port: Number(match[4]) }) };
}

function splitJumps(value: string | undefined): readonly string[] {
  if (value === undefined || value.toLowerCase() === 'none') return [];
  return value.split(',').map((jump) => jump.trim());
}

function expandHome(path: string, home: string): string {
  return path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : path;
}

/** The text with its Include lines replaced. The block that an Include stands in goes on after it, as in OpenSSH. */
function readWithIncludes(file: string, home: string, isRequired: boolean, depth = 0): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    if (!isRequired && (cause as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw sshError(
      'HF-SSH-CONFIG',
      `${file} cannot be read (${(cause as Error).message}). Check ssh.config_file and the file's rights.`,
      cause,
    );
  }
  if (depth > MAX_INCLUDE_DEPTH) throw sshError('HF-SSH-CONFIG', `${file} is included too deeply. Remove the circle of Include lines.`);
  let block = 'Host *';
  return text
    .split(/\r?\n/)
    .map((line) => {
      if (/^\s*(host|match)[\s=]/i.test(line)) block = line;
      const include = /^\s*include[\s=]+(.*)$/i.exec(line);
      if (!include) return line;
      const patterns = (include[1] ?? '').match(/"[^"]*"|\S+/g) ?? [];
      const texts = patterns.flatMap((pattern) =>
        matchingFiles(expandHome(pattern.replaceAll('"', ''), home), home).map((name) => readWithIncludes(name, home, false, depth + 1)),
      );
      return [...texts, block].join('\n');
    })
    .join('\n');
}

/** Wildcards in the last part of the path; relative paths lie in ~/.ssh. */
function matchingFiles(pattern: string, home: string): string[] {
  const path = isAbsolute(pattern) ? pattern : join(home, '.ssh', pattern);
  const last = basename(path);
  if (!/[*?]/.test(last)) return [path];
  const expression = new RegExp(
    `^${last
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  );
  try {
    return readdirSync(dirname(path))
      .filter((name) => expression.test(name) && !(name.startsWith('.') && !last.startsWith('.')))
      .sort()
      .map((name) => join(dirname(path), name));
  } catch {
    // OpenSSH ignores an Include without matches.
    return [];
  }
}
