/**
 * The one quoting of words for a POSIX shell: every byte but `'` stands for itself between single quotes (POSIX.1-2017, XCU 2.2.2).
 * For scripts that /bin/sh reads. A login shell never sees quoted words: csh and tcsh expand `!` and break at newlines inside quotes.
 * Throws RangeError on NUL, which no argument of a program can carry.
 */
export function quoteWord(word: string): string {
  if (word.includes('\0'))
    throw new RangeError(`${JSON.stringify(word)} contains a NUL character, which no command line can carry. Remove it.`);
  if (/^[A-Za-z0-9_@%+:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Words of a command as one line for /bin/sh. */
export function quoteCommand(words: readonly string[]): string {
  return words.map(quoteWord).join(' ');
}

/**
 * A path for a line of an `sftp -b` batch. The program unescapes backslashes outside quotes and leaves those before * ? [ \ to its glob,
 * which undoes them (OpenSSH sftp.c, makeargv). A line cannot carry a line break: throws RangeError.
 */
export function quoteSftpPath(path: string): string {
  if (/[\0\n\r]/.test(path))
    throw new RangeError(`${JSON.stringify(path)} contains a line break, which sftp cannot carry. Rename the file.`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: every ASCII character that is not plainly safe is escaped
  return path.replace(/[\u0001-\u007f]/g, (c) => (/[A-Za-z0-9_./-]/.test(c) ? c : `\\${c}`));
}
