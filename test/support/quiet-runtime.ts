import pino from 'pino';
import { installRuntime } from '../../src/temporal/runtime.ts';

/** For tests that make workers of the SDK themselves: its lines on every change of a worker's state would bury what failed. HOLDFAST_TEST_LOG shows them. */
export function quietRuntime(): void {
  installRuntime(pino({ level: process.env.HOLDFAST_TEST_LOG ?? 'silent' }));
}
