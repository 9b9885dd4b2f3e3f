/**
 * Splits a command line into words as a shell would with quotes and backslashes, and nothing else: no variables, no globs, no operators.
 * `python train.py --name "a b"` → ['python', 'train.py', '--name', 'a b'].
 * @throws Error when a quote is not closed or a shell operator stands outside quotes.
 */
export function commandWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: '"' | "'" | undefined;
  for (let i = 0; i < line.length; i++) {
    const character = line[i] as string;
    if (quote !== undefined) {
      if (character === quote) quote = undefined;
      else if (character === '\\' && quote === '"' && '"\\'.includes(line[i + 1] ?? ' ')) word = `${word ?? ''}${line[++i]}`;
      else word = `${word ?? ''}${character}`;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === '\\') {
      word = `${word ?? ''}${line[++i] ?? ''}`;
    } else if ('|&;<>`'.includes(character)) {
      throw new Error(`has "${character}", but no shell reads the command`);
    } else word = `${word ?? ''}${character}`;
  }
  if (quote !== undefined) throw new Error(`has a ${quote} that is not closed`);
  if (word !== undefined) words.push(word);
  return words;
}
