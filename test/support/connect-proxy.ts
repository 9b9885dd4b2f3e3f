import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';

/** A proxy of the CONNECT kind that sends every tunnel to one TLS server on loopback, whatever host it names. */
export interface ConnectProxy {
  readonly url: string;
  /** `host:port` of each tunnel asked for. */
  readonly tunnels: string[];
  /** Proxy-Authorization of each. */
  readonly credentials: (string | undefined)[];
  /** Requests that came without a tunnel. */
  readonly plain: string[];
  /** Statuses with which the next tunnels are refused, in order; empty: they open. */
  readonly refusals: number[];
  /** Ends every open tunnel. */
  cut(): void;
  end(): Promise<void>;
}

/** Starts the proxy before a plain HTTP server on `port`: TLS for `host` ends here, with a certificate that this process trusts from now on. */
export async function startConnectProxy(host: string, port: number): Promise<ConnectProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-proxy-'));
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const subject = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      ...subject,
      '-keyout',
      key,
      '-out',
      certificate,
    ],
    { stdio: 'ignore' },
  );
  const distrust = trust(readFileSync(certificate, 'utf8'));
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };
  const service = tls.createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (secure) => {
    const inner = connect(port, '127.0.0.1');
    keep(inner);
    secure.on('error', () => undefined);
    secure.pipe(inner).pipe(secure);
  });
  service.on('connection', keep);
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));

  const proxy = createServer((request, response) => {
    plain.push(request.url ?? '');
    response.writeHead(405).end();
  });
  const refusals: number[] = [];
  const [tunnels, credentials, plain]: [string[], (string | undefined)[], string[]] = [[], [], []];
  proxy.on('connection', keep);
  proxy.on('connect', (request, client: Socket) => {
    tunnels.push(request.url ?? '');
    credentials.push(request.headers['proxy-authorization']);
    const refusal = refusals.shift();
    if (refusal !== undefined) return void client.end(`HTTP/1.1 ${refusal} Refused\r\n\r\n`);
    const outer = connect((service.address() as AddressInfo).port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(outer).pipe(client);
    });
    keep(outer);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    refusals,
    cut,
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    tunnels,
    credentials,
    plain,
    async end() {
      distrust();
      cut();
      await Promise.all([service, proxy].map((server) => new Promise((resolve) => server.close(resolve))));
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** What NODE_EXTRA_CA_CERTS does, for a process that runs already. Returns the undoing. */
function trust(certificate: string): () => void {
  // The module object whose functions Node itself calls; an import has copies.
  const shared = createRequire(import.meta.url)('node:tls') as { createSecureContext: typeof tls.createSecureContext };
  const original = shared.createSecureContext;
  shared.createSecureContext = (options) => {
    const made = original(options);
    (made.context as { addCACert(text: string): void }).addCACert(certificate);
    return made;
  };
  return () => {
    shared.createSecureContext = original;
  };
}
