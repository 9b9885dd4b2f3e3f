import { DriverError } from '../driver.ts';

/** The outcome of one diagnosis: a table of what was seen, and whether it is good enough. */
export interface Diagnosis {
  readonly name: 'connectivity' | 'torch' | 'parallel' | 'training' | 'aurora';
  readonly verdict: 'pass' | 'warn' | 'fail';
  /** One sentence; a failure says what to do next. */
  readonly message: string;
  readonly rows: readonly Readonly<Record<string, string | number | null>>[];
}

/** A task that fails is the diagnosis; a login that is missing is not. */
export async function guarded(name: Diagnosis['name'], work: () => Promise<Omit<Diagnosis, 'name'>>): Promise<Diagnosis> {
  try {
    return { name, ...(await work()) };
  } catch (error) {
    if (!(error instanceof DriverError) || error.class === 'needs_login') throw error;
    return { name, verdict: 'fail', message: error.message, rows: [] };
  }
}

/** Two digits are enough for people. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
