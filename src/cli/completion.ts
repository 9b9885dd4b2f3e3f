import type { Command } from 'commander';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print } from './io.ts';

/** A command as a shell completes it: its words (`set budget`), its sub-commands and its options. */
interface Completed {
  readonly words: string;
  readonly summary: string;
  readonly subcommands: readonly string[];
  readonly options: readonly string[];
}

const SHELLS: Readonly<Record<string, (commands: readonly Completed[]) => string>> = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** `holdfast completion bash|zsh|fish`: a script for the shell, made from the commands that there are. */
export function completion(shell: string, options: CommonOptions, root: Command, io: CliIo): Exit {
  const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
  if (script === undefined)
    throw new CliError('usage', 'HF-USAGE', `completion ${shell} is not known. Choose ${Object.keys(SHELLS).join(', ')}.`);
  const text = script(completedOf(root));
  print(io, options, { shell, script: text }, text);
  return 'ok';
}

/** Every command of the tree, the root first (its words are empty). */
export function completedOf(command: Command, words = ''): Completed[] {
  const own: Completed = {
    words,
    summary: command.description(),
    subcommands: command.commands.map((each) => each.name()),
    options: [...command.options.flatMap(({ long, hidden }) => (hidden || long === undefined || long === null ? [] : [long])), '--help'],
  };
  return [own, ...command.commands.flatMap((each) => completedOf(each, `${words} ${each.name()}`.trim()))];
}

function bashScript(commands: readonly Completed[]): string {
  const cases = commands.map(({ words, subcommands, options }) => `    '${words}') list='${[...subcommands, ...options].join(' ')}' ;;`);
  const known = commands.flatMap(({ words }) => (words === '' ? [] : [`'${words}'`])).join(' | ');
  return `# bash completion of holdfast: source <(holdfast completion bash)
_holdfast() {
  local current=\${COMP_WORDS[COMP_CWORD]} path= list= word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
    ${known}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$list" -- "$current"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _holdfast holdfast
`;
}

function zshScript(commands: readonly Completed[]): string {
  return `# zsh completion of holdfast: source <(holdfast completion zsh)
autoload -U +X bashcompinit && bashcompinit
${bashScript(commands).split('\n').slice(1).join('\n')}`;
}

function fishScript(commands: readonly Completed[]): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const lines = commands.flatMap(({ words, options }) => {
    const seen =
      words === ''
        ? '__fish_use_subcommand'
        : words
            .split(' ')
            .map((word) => `__fish_seen_subcommand_from ${word}`)
            .join('; and ');
    const below = commands.filter((each) => each.words !== '' && each.words.split(' ').slice(0, -1).join(' ') === words);
    return [
      ...below.map((each) => `complete -c holdfast -n ${quote(seen)} -a ${each.words.split(' ').at(-1)} -d ${quote(each.summary)}`),
      ...options.map((option) => `complete -c holdfast -n ${quote(seen)} -l ${option.slice(2)}`),
    ];
  });
  return `# fish completion of holdfast: holdfast completion fish | source\n${lines.join('\n')}\n`;
}
