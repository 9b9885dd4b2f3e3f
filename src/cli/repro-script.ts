import { quoteWord } from '../ssh/quote.ts';
import { type CommandFacts, commandOf } from './command-line.ts';

export interface ReproFacts extends Omit<CommandFacts, 'out'> {
  /** Words of the training's command, with placeholders. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Folder of the helper module `holdfast`, beside the agent. */
  readonly agentFolder: string;
}

/** Stands for the run's folder, whose path only the shell knows; no word of a command has it. */
const OUT_MARK = '\u0001';

/**
 * Lines of a shell script that runs one training again by hand, with its files in `./repro`: the same environment, and the same working folder as the
 * agent gives it (the code's; without code the run's own).
 */
export function reproScript(facts: ReproFacts): string[] {
  return [
    `mkdir -p repro && cat > repro/params.json <<'EOF'`,
    JSON.stringify(facts.params),
    'EOF',
    ...Object.entries(facts.env).map(([name, value]) => `export ${name}=${quoteWord(value)}`),
    'export HOLDFAST_PARAMS="$PWD/repro/params.json" HOLDFAST_OUT="$PWD/repro"',
    `export PYTHONPATH=${quoteWord(facts.agentFolder)}:"$PYTHONPATH"`,
    `cd ${facts.code === undefined ? '"$HOLDFAST_OUT"' : quoteWord(facts.code)}`,
    commandOf(facts.command, { ...facts, out: OUT_MARK })
      .map(shellWord)
      .join(' '),
  ];
}

function shellWord(word: string): string {
  return (
    word
      .split(OUT_MARK)
      .map((part) => (part === '' ? '' : quoteWord(part)))
      .join('"$HOLDFAST_OUT"') || "''"
  );
}
