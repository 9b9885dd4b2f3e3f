import { NativeConnection } from '@temporalio/worker';
import { connectionSettings, TemporalUnreachable } from './connection.ts';

/** A connection for workers, to the environment's server or to the one named. Throws TemporalUnreachable. */
export async function connectWorker(server?: {
  readonly address: string;
  readonly namespace: string;
}): Promise<{ connection: NativeConnection; namespace: string; address: string }> {
  const { connectionOptions, namespace, address } =
    server === undefined ? connectionSettings() : { ...server, connectionOptions: { address: server.address } };
  try {
    return { connection: await NativeConnection.connect(connectionOptions), namespace, address };
  } catch (error) {
    throw new TemporalUnreachable(address, error);
  }
}

/** What tells a namespace from those of the same name on other servers: kept in the server's database, so it stays through every restart. */
export async function idOfNamespace(connection: NativeConnection, namespace: string): Promise<string> {
  const { namespaceInfo } = await connection.workflowService.describeNamespace({ namespace });
  return namespaceInfo?.id || namespace;
}
