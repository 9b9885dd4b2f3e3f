import { randomBytes } from 'node:crypto';
import { sshError } from '../../ssh/errors.ts';
import type { RemoteCommand, RemoteShell } from '../../ssh/transport.ts';
import { DriverError } from '../driver.ts';
import type { EndpointFolder, EndpointMachine } from './endpoint-machine.ts';

/** Shell lines that every script begins with: where endpoints live, as the SDK finds it on that machine. */
const BASE = `base="\${GLOBUS_COMPUTE_ENDPOINT_DIR:-\${GLOBUS_COMPUTE_USER_DIR:-$HOME/.globus_compute}}"`;

/** One line per folder: name, template or not, age of the pid file, identity; tab-separated. */
const FOLDERS = `${BASE}
now=$(date +%s)
for folder in "$base"/*/; do
  folder=\${folder%/}
  [ -f "$folder/config.yaml" ] || continue
  template=0; age=; id=
  [ -f "$folder/user_config_template.yaml.j2" ] && template=1
  [ -f "$folder/daemon.pid" ] && age=$((now - $(stat -c %Y "$folder/daemon.pid")))
  [ -f "$folder/endpoint.json" ] && id=$(tr '\\n\\t' '  ' <"$folder/endpoint.json")
  printf '%s\\t%s\\t%s\\t%s\\n' "\${folder##*/}" "$template" "$age" "$id"
done`;

/** Ends of logs; each after a line of mark and path. Arguments: name, id or nothing, bytes, mark. */
const LOGS = `${BASE}
show() {
  [ -s "$1" ] || return 0
  printf '%s %s\\n' "$mark" "$1"
  tail -c "$bytes" "$1"
  echo
}
name=$1; id=$2; bytes=$3; mark=$4
show "$base/$name/endpoint.log"
[ -n "$id" ] || exit 0
for folder in "$base/uep.$id".*/; do show "\${folder}endpoint.log"; done`;

const WRITE = 'umask 077 && mkdir -p "$1" && cat >"$1/$2.part" && mv "$1/$2.part" "$1/$2"';

/**
 * Runs a program in the user's own login environment, after setup lines (modules, virtual environment). What the login says before it stands before the mark;
 * the program's stdin is kept from it.
 */
const PROGRAM = `exec 3<&0 </dev/null
exec /bin/bash -l -c 'mark=$1; setup=$2; shift 2
eval "$setup" || exit 126
printf "%s\\n" "$mark"
exec <&3 3<&-
exec "$@"' holdfast "$@"`;

const NOT_FOUND = 127;

/**
 * A login node behind SSH: the same endpoint commands, with the program that is installed there. `setup`: shell lines (bash) before the program,
 * so that it is found. Throws DriverError as the shell does; an answer that was lost is DriverError transport, never a success.
 */
export function sshMachine(name: string, shell: RemoteShell, setup: readonly string[]): EndpointMachine {
  let base: string | undefined;

  async function answer(command: RemoteCommand): Promise<{ code: number; stdout: string; stderr: string }> {
    const given = await shell.run(command);
    if (given.kind === 'unknown')
      throw sshError(
        'HF-SSH-CUT',
        `${given.why} (${name}). Look with \`holdfast endpoint list --on ${name}\`, then run the command again.`,
      );
    return { code: given.code, stdout: given.stdout.toString('utf8'), stderr: given.stderr.toString('utf8') };
  }

  async function lines(script: string, args: readonly string[] = []): Promise<string> {
    const { code, stdout, stderr } = await answer({ script, args });
    if (code === 0) return stdout;
    throw new DriverError('refused', 'HF-GLOBUS-MACHINE', `${name} refused (exit ${code}): ${stderr.trim().slice(-500)}. Mend that there.`);
  }

  return {
    name,
    async run(words, options = {}) {
      const mark = `holdfast-${randomBytes(9).toString('hex')}`;
      const { code, stdout, stderr } = await answer({
        script: PROGRAM,
        args: [mark, setup.join('\n'), ...words],
        ...(options.input === undefined ? {} : { input: options.input }),
        timeoutSeconds: options.timeoutSeconds ?? 120,
      });
      const at = stdout.indexOf(`${mark}\n`);
      const own = at < 0 ? stdout : stdout.slice(at + mark.length + 1);
      if (code === NOT_FOUND && at >= 0) return { kind: 'missing', code, stdout: '', stderr: `${words[0]}: not found on ${name}` };
      return { kind: 'exited', code, stdout: own, stderr };
    },
    async base() {
      base ??= (await lines(`${BASE}\nprintf %s "$base"`)).trim();
      return base;
    },
    folders: async () => (await lines(FOLDERS)).split('\n').flatMap((line) => folderOf(line)),
    async logEnds(endpoint, id, bytes) {
      const mark = `holdfast-${randomBytes(9).toString('hex')}`;
      const text = await lines(LOGS, [endpoint, id ?? '', String(bytes), mark]);
      return text
        .split(`${mark} `)
        .slice(1)
        .map((part) => ({ path: part.slice(0, part.indexOf('\n')), text: part.slice(part.indexOf('\n') + 1).trimEnd() }));
    },
    async writeFiles(folder, files) {
      const into = folder ?? (await lines(`mktemp -d "\${TMPDIR:-/tmp}/holdfast-endpoint-XXXXXXXX"`)).trim();
      for (const [file, text] of Object.entries(files)) {
        const { code, stderr } = await answer({ script: WRITE, args: [into, file], input: text });
        if (code !== 0)
          throw new DriverError(
            'refused',
            'HF-GLOBUS-MACHINE',
            `${into}/${file} cannot be written on ${name}: ${stderr.trim().slice(-300)}. Mend that there.`,
          );
      }
      return into;
    },
    async removeFolder(folder) {
      await lines('case "$1" in */holdfast-endpoint-*) rm -rf "$1";; esac', [folder]);
    },
  };
}

function folderOf(line: string): EndpointFolder[] {
  const [name, template, age, ...identity] = line.split('\t');
  if (!name) return [];
  const text = identity.join(' ').trim();
  return [
    {
      name,
      hasTemplate: template === '1',
      ...(text === '' ? {} : { identity: text }),
      ...(age ? { pidAgeSeconds: Number(age) } : {}),
    },
  ];
}
