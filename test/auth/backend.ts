import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach } from 'vitest';

const servers: http.Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

export interface TestBackend {
  readonly url: string;
  readonly asked: { readonly headers: http.IncomingHttpHeaders; readonly body: string }[];
  /** What it does with the next questions. */
  answer: (response: http.ServerResponse, body: string) => void;
}

/** A real HTTP server that answers what the test says; gone after the test. */
export async function startBackend(answer: TestBackend['answer']): Promise<TestBackend> {
  const asked: TestBackend['asked'] = [];
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      asked.push({ headers: request.headers, body });
      test.answer(response, body);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const test: TestBackend = { url: `http://127.0.0.1:${port}/auth`, asked, answer };
  return test;
}

export const json =
  (value: unknown, status = 200): TestBackend['answer'] =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
