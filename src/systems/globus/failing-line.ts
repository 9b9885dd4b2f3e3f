import type { RunProgram } from './endpoint-command.ts';

/** Lines of files that are sourced count by the end of `source` alone: activation scripts are full of tests that fail. As in remote/globus_task.py. */
const TRAP = `trap 'code=$?; [ -n "\${BASH_SOURCE[0]-}" ] || { printf "holdfast-line %s %s\\n" "$LINENO" "$code"; exit 97; }' ERR`;

/** Runs shell lines one after the other as `bash -e` would: which fails first, with its exit code; undefined when all of them work. */
export async function firstFailingLine(run: RunProgram, script: string): Promise<string | undefined> {
  const answer = await run(['/bin/bash', '-c', `${TRAP}\n${script}`]);
  const said = answer.stderr.trim().slice(-500);
  const [, number, code] = /^holdfast-line (\d+) (\d+)$/m.exec(answer.stdout) ?? [];
  if (number !== undefined) {
    const line = script.split('\n')[Number(number) - 2]?.trim() ?? '?';
    return `line ${Number(number) - 1} ended with ${code}: ${line}${said === '' ? '' : ` (${said})`}`;
  }
  return answer.code === 0 ? undefined : `it ended with ${answer.code}: ${said}`;
}
