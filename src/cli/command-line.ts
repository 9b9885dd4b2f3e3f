import type { Point } from '../domain/space.ts';

export interface CommandFacts {
  readonly params: Point;
  readonly trial: string;
  readonly python: string;
  readonly code?: string;
  readonly dataDir?: string;
  /** Folder of the run; default `repro`. */
  readonly out?: string;
}

/** The training command with its placeholders filled in for a run by hand; what is not known stays as it is. */
export function commandOf(command: readonly string[], facts: CommandFacts): string[] {
  const known: Record<string, string> = {
    ...Object.fromEntries(Object.entries(facts.params).map(([name, value]) => [name, String(value)])),
    python: facts.python,
    out: facts.out ?? 'repro',
    params_file: `${facts.out ?? 'repro'}/params.json`,
    trial: facts.trial,
    attempt: '1',
    slot: '0',
    ...(facts.code === undefined ? {} : { code: facts.code }),
    ...(facts.dataDir === undefined ? {} : { data_dir: facts.dataDir }),
  };
  return command.map((word) =>
    // As the agent reads it: `{name}` is a placeholder, `{{name}}` stands for `{name}` itself.
    word.replace(/\{\{([A-Za-z_][\w.-]*)\}\}|\{([A-Za-z_][\w.-]*)\}/g, (whole, escaped: string | undefined, name: string | undefined) =>
      escaped === undefined ? (known[name ?? ''] ?? whole) : `{${escaped}}`,
    ),
  );
}
