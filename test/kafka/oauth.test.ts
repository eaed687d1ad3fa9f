import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { clientCredentials } from '../../src/kafka/oauth.ts';

interface Asked {
  authorization: string | undefined;
  body: string;
}

let server: http.Server | undefined;
afterEach(() => server?.close());

async function endpoint(
  answer: (count: number) => [status: number, body: unknown],
): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  server = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      asked.push({ authorization: request.headers.authorization, body });
      const [status, json] = answer(asked.length);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, asked };
}

const SECRET = 'p@ss:wörd';

describe('clientCredentials', () => {
  it('asks as RFC 6749 §4.4 says, once for all who wait, and again when the token has used most of its life', async () => {
    let time = 1_000_000;
    const { url, asked } = await endpoint((count) => [200, { access_token: `token-${count}`, expires_in: 100 }]);
    const options = { tokenEndpoint: url, clientId: 'slu:ice', clientSecret: SECRET, scope: 'kafka', now: () => time };
    const token = clientCredentials(options);
    expect(await Promise.all([token(), token(), token()])).toEqual(Array(3).fill('token-1'));
    const [first] = asked;
    expect(asked).toHaveLength(1);
    expect(first?.body).toBe('grant_type=client_credentials&scope=kafka');
    const credentials = Buffer.from(first?.authorization?.replace('Basic ', '') ?? '', 'base64').toString();
    expect(credentials.split(':').map(decodeURIComponent)).toEqual(['slu:ice', SECRET]);

    time += 79_000;
    expect(await token()).toBe('token-1');
    time += 1_000;
    expect(await token()).toBe('token-2');
  });

  it('says what the endpoint answered, never the secret, and asks again the next time', async () => {
    const { url } = await endpoint((count) =>
      count === 1 ? [401, { error: 'invalid_client' }] : [200, { access_token: 'x' }],
    );
    const token = clientCredentials({ tokenEndpoint: url, clientId: 'sluice', clientSecret: SECRET });
    const error = await token().catch((reason: Error) => reason);
    expect(String(error)).toContain('HTTP 401: invalid_client');
    expect(String(error)).not.toContain(SECRET);
    expect(await token()).toBe('x');
  });

  it('does not wait for ever', async () => {
    server = http.createServer(() => {});
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const token = clientCredentials({ tokenEndpoint: url, clientId: 'a', clientSecret: 'b', timeoutMs: 50 });
    await expect(token()).rejects.toThrow('cannot be reached');
    server.closeAllConnections();
  });
});
