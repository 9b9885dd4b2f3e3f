import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy before a real server, which can cut at an exact byte, stall and count. */
export interface TcpProxy {
  readonly port: number;
  /** Connections so far. */
  readonly connections: () => number;
  /** Bytes passed on so far, client to server and back. */
  readonly bytes: () => { toServer: number; toClient: number };
  /** Cuts every connection once so many more bytes have passed in that direction. */
  cutAfter(bytes: number, direction: 'toServer' | 'toClient'): void;
  /** Cuts of `cutAfter` so far. */
  readonly cuts: () => number;
  /** Cuts what is open now. */
  cut(): void;
  /** Nothing passes any more until `flow`; connections stay open. */
  stall(): void;
  flow(): void;
  close(): Promise<void>;
}

export async function startProxy(targetPort: number): Promise<TcpProxy> {
  const pairs = new Set<[Socket, Socket]>();
  let connections = 0;
  let cuts = 0;
  let isStalled = false;
  const passed = { toServer: 0, toClient: 0 };
  let limit: { direction: 'toServer' | 'toClient'; left: number } | undefined;

  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
    pairs.clear();
  };
  const pass = (from: Socket, to: Socket, direction: 'toServer' | 'toClient') => {
    from.on('data', (chunk: Buffer) => {
      if (limit?.direction === direction && chunk.length >= limit.left) {
        const last = chunk.subarray(0, limit.left);
        limit = undefined;
        cuts++;
        passed[direction] += last.length;
        // The bytes before the cut do arrive.
        to.write(last, () => cut());
        from.pause();
        return;
      }
      if (limit?.direction === direction) limit.left -= chunk.length;
      passed[direction] += chunk.length;
      to.write(chunk);
    });
    from.on('close', () => to.destroy());
    from.on('error', () => to.destroy());
  };
  const server = createServer((client) => {
    connections++;
    const upstream = connect(targetPort, '127.0.0.1');
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    client.on('close', () => pairs.delete(pair));
    pass(client, upstream, 'toServer');
    pass(upstream, client, 'toClient');
    if (isStalled) for (const socket of pair) socket.pause();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    connections: () => connections,
    bytes: () => ({ ...passed }),
    cutAfter(bytes, direction) {
      limit = { direction, left: bytes };
    },
    cuts: () => cuts,
    cut,
    stall() {
      isStalled = true;
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    flow() {
      isStalled = false;
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
