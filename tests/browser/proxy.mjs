// A proxy that sends a gateway the same headers as nginx: client, host and origin. With it, a gateway with the routing
// `nginx` can be opened without certificates and without the privileges of loopback clients.
import http from 'node:http';
import net from 'node:net';

/** Serves the gateway at a local `port` as if at `origin`, for a client at `client`; returns the proxy's own origin. */
export async function serve({ port, origin, client = '198.51.100.7' }) {
  const { host } = new URL(origin);
  const forwarded = (headers) => ({
    ...headers,
    host,
    ...(headers.origin && { origin }),
    'x-forwarded-for': client,
    'x-forwarded-proto': 'https',
    'x-forwarded-host': host,
  });
  const server = http.createServer((request, response) => {
    const { method, url: path, headers } = request;
    const onward = http.request({ host: '127.0.0.1', port, method, path, headers: forwarded(headers) }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.on('upgrade', (request, socket, head) => {
    const onward = net.connect(port, '127.0.0.1', () => {
      const lines = Object.entries(forwarded(request.headers)).map(([name, value]) => `${name}: ${value}`);
      onward.write(`GET ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    for (const end of [onward, socket]) end.on('error', () => (onward.destroy(), socket.destroy()));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return `http://127.0.0.1:${server.address().port}`;
}
