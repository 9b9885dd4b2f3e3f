/** A result of somewhere else, as it was found: nothing is checked against a space yet. */
export interface ForeignTrial {
  /** Where it was found, for people: `digits-1/trial-0007`, `old.csv:12`, `study.db trial 3`. */
  readonly from: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** By metric; or in the order of the objectives where the source has no names for them. */
  readonly values: Readonly<Record<string, unknown>> | readonly unknown[];
  readonly metrics?: Readonly<Record<string, unknown>>;
  /** It ran to its end and has a value. */
  readonly isComplete: boolean;
}

/** Which way an objective of the source went. */
export interface ForeignDirection {
  readonly direction: 'minimize' | 'maximize';
  /** Absent where the source has no names: then its place counts. */
  readonly metric?: string;
}

/** What a source holds. */
export interface ForeignResults {
  readonly trials: readonly ForeignTrial[];
  /** One per objective, where the source tells it. */
  readonly directions?: readonly ForeignDirection[];
}

/** Something that cannot be read as results, in one or two sentences for the user. */
export class UnreadableResults extends Error {
  override readonly name = 'UnreadableResults';
}
