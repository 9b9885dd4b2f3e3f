import type { Connection } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import { ATTRIBUTES } from '../domain/search-attributes.ts';

/** temporal.api.enums.v1.IndexedValueType; the package of that enum is CommonJS without named exports. */
const TYPES = { KEYWORD: 2, INT: 3, DOUBLE: 4 } as const;

/** Names with the type words of the CLI and the dev server: `HpoCampaign=Keyword`. */
export function searchAttributeFlags(): string[] {
  return Object.values(ATTRIBUTES).map(({ name, type }) => `${name}=${type.charAt(0)}${type.slice(1).toLowerCase()}`);
}

/**
 * Registers our search attributes where they are missing. False when the server refuses (no right to, no room left): campaigns then run
 * without them, since setting an unknown attribute would stop their workflows.
 */
export async function ensureSearchAttributes(
  connection: Connection | NativeConnection,
  namespace: string,
  warn: (text: string) => void,
): Promise<boolean> {
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    const missing = Object.values(ATTRIBUTES).filter(({ name }) => !(name in customAttributes));
    if (missing.length === 0) return true;
    const searchAttributes = Object.fromEntries(missing.map(({ name, type }) => [name, TYPES[type as keyof typeof TYPES]]));
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
    return true;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    warn(
      `The search attributes of Holdfast are not registered in namespace ${namespace} and could not be added (${text}). Campaigns run without them; config/temporal has the commands.`,
    );
    return false;
  }
}
