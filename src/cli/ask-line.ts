import { createInterface } from 'node:readline';

/** One line that a person types. Undefined at Ctrl-C and at the end of the input, where readline's own promise would never come back. */
export async function askLine(
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
  question: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const reader = createInterface({ input, output });
  const leave = () => reader.close();
  signal?.addEventListener('abort', leave, { once: true });
  try {
    return await new Promise<string | undefined>((resolve) => {
      reader.once('close', () => resolve(undefined));
      reader.once('SIGINT', leave);
      // Its `question` loses a last line without a line break.
      reader.once('line', resolve);
      reader.setPrompt(question);
      reader.prompt();
      if (signal?.aborted) leave();
    });
  } finally {
    signal?.removeEventListener('abort', leave);
    reader.close();
  }
}
