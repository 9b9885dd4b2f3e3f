import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';

/** No Temporal server answers. Exit code 5. */
export class TemporalUnreachable extends Error {
  readonly code = 'HF-TEMPORAL-UNREACHABLE';
  constructor(address: string, cause: unknown) {
    super(
      `Temporal ${address} does not answer. Start a server with \`holdfast dev\`, or name yours with TEMPORAL_ADDRESS or a profile of ~/.config/temporalio/temporal.toml.`,
      {
        cause,
      },
    );
    this.name = 'TemporalUnreachable';
  }
}

const CONNECT_TIMEOUT_MS = 8_000;

/** Address, namespace, TLS and API key come from Temporal's own environment configuration: TEMPORAL_* variables and temporal.toml. */
export function connectionSettings() {
  const settings = loadClientConnectConfig();
  return {
    connectionOptions: settings.connectionOptions,
    namespace: settings.namespace ?? 'default',
    address: settings.connectionOptions.address ?? '127.0.0.1:7233',
  };
}

/** A client for the CLI. Throws TemporalUnreachable. */
export async function connectClient(): Promise<{ client: Client; connection: Connection; namespace: string; address: string }> {
  const { connectionOptions, namespace, address } = connectionSettings();
  try {
    const connection = await Connection.connect({ ...connectionOptions, connectTimeout: CONNECT_TIMEOUT_MS });
    return { client: new Client({ connection, namespace }), connection, namespace, address };
  } catch (error) {
    throw new TemporalUnreachable(address, error);
  }
}
