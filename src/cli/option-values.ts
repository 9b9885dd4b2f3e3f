import { type Command, InvalidArgumentError } from 'commander';

/** Parsers of option values for commander: what they throw is told as wrong usage, with the option's name. */
export function whole(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 0) throw new InvalidArgumentError(`"${text}" is no whole number.`);
  return value;
}

/** A whole number of at least 1. Throws InvalidArgumentError for anything else. */
export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError(`"${text}" is no whole number of at least 1.`);
  return value;
}

/** A port of this computer. */
export function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65_535) throw new InvalidArgumentError(`"${text}" is no port: 1 to 65535.`);
  return value;
}

/** A finite number. Throws InvalidArgumentError for anything else. */
export function finite(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError(`"${text}" is no number.`);
  return value;
}

/** A JSON object. */
export function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below, as for JSON of another kind.
  }
  throw new InvalidArgumentError(`${text} is no JSON object. Write it like '{"queue": "prod"}'.`);
}

/** One of the given words. */
export function oneOf<T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw new InvalidArgumentError(`"${text}" is unknown. Use one of ${words.join(', ')}.`);
    return found;
  };
}

/** For the commands that say how far they are. */
export function withQuiet(command: Command): Command {
  return command.option('-q, --quiet', 'no progress: only results and errors');
}
