import { describe, expect, it } from 'vitest';
import { HttpMethod, type HttpOptions } from '../../src/auth/http-callback.ts';
import { attempt, heard } from './attempt.ts';
import { json, startBackend, type TestBackend } from './backend.ts';

const anna = attempt({ username: 'anna', password: 'hunter2' });

async function open(answer: TestBackend['answer'], more: Partial<HttpOptions> = {}) {
  const backend = await startBackend(answer);
  const events = heard();
  const method = await HttpMethod.open(
    { url: backend.url, timeoutMs: 300, concurrency: 2, cacheTtlMs: 60_000, ...more },
    events,
  );
  return { backend, events, method };
}

describe('an HTTP service that', () => {
  it('allows: is told everything, may name the user, and is asked once for a while', async () => {
    const { backend, method } = await open(json({ result: 'allow', user: 'A', attributes: { site: 's/1' } }), {
      token: 'hunter3',
    });
    const first = await method.authenticate(anna, false);
    expect(first).toMatchObject({ kind: 'accept', identity: { user: 'A', method: 'http' } });
    expect(first.kind === 'accept' && first.identity.attributes.get('http.site')).toBe('s/1');
    expect(JSON.parse(backend.asked[0]?.body ?? '')).toEqual({
      clientId: 'd1',
      username: 'anna',
      password: 'hunter2',
      remoteAddress: '192.0.2.1',
      listener: 'mqtt',
      protocolVersion: 4,
    });
    expect(backend.asked[0]?.headers.authorization).toBe('Bearer hunter3');
    expect((await method.authenticate(anna, true)).kind).toBe('accept');
    expect(backend.asked).toHaveLength(1);
    await method.authenticate({ ...anna, clientId: 'd2' }, false);
    expect(backend.asked).toHaveLength(2);
    method.close();
  });

  it('denies, or has no opinion: is asked again each time', async () => {
    const { backend, method } = await open(json({ result: 'deny' }));
    expect(await method.authenticate(anna, false)).toMatchObject({ refused: 'credentials' });
    backend.answer = json({ result: 'ignore' });
    expect((await method.authenticate(anna, false)).kind).toBe('not-mine');
    expect(backend.asked).toHaveLength(2);
    expect(await method.authenticate(anna, true)).toMatchObject({ refused: 'blocked' });
    method.close();
  });

  it.each<[string, TestBackend['answer']]>([
    ['hangs', () => undefined],
    ['sends headers and hangs', (response) => void response.writeHead(200).write('{"result":')],
    ['hangs up', (response) => void response.socket?.destroy()],
    ['fails', json({ result: 'allow', user: 'A' }, 500)],
    ['sends it elsewhere', (response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['answers no JSON', (response) => void response.end('allow')],
    ['answers a list', json(['allow'])],
    ['answers something else', json({ result: 'Allow', user: 'A' })],
    ['allows somebody without a name', json({ result: 'allow', user: '' })],
    ['allows a name that is no text', json({ result: 'allow', user: { toString: 'x' } })],
    ['allows a name that forges log lines', json({ result: 'allow', user: 'a\nb' })],
    ['adds attributes that are no texts', json({ result: 'allow', attributes: { a: 1 } })],
    ['answers without end', (response) => void response.end(`{"result":"allow","x":"${'y'.repeat(100_000)}"}`)],
  ])('%s lets nobody in, and the client is to come again', async (_, answer) => {
    const { events, method } = await open(answer);
    expect(await method.authenticate(anna, false)).toMatchObject({ kind: 'refuse', refused: 'unavailable' });
    expect(events.faults).toHaveLength(1);
    expect(events.faults.join()).not.toContain('hunter2');
    method.close();
  });

  it('is not there lets nobody in', async () => {
    const events = heard();
    const options = { url: 'http://127.0.0.1:1/', timeoutMs: 300, concurrency: 2, cacheTtlMs: 0 };
    const method = await HttpMethod.open(options, events);
    expect(await method.authenticate(anna, false)).toMatchObject({ refused: 'unavailable' });
  });

  it('hangs holds up no more than its questions at a time; the others wait for no longer than the timeout', async () => {
    const { backend, method } = await open(() => undefined, { concurrency: 3 });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => method.authenticate({ ...anna, clientId: `d${index}` }, false)),
    );
    expect(answers.every((answer) => answer.kind === 'refuse' && answer.refused === 'unavailable')).toBe(true);
    expect(backend.asked.length).toBeLessThanOrEqual(9);
    method.close();
  });

  it('is not asked about a client that brings nothing', async () => {
    const { backend, method } = await open(json({ result: 'allow', user: 'A' }));
    expect((await method.authenticate(attempt(), false)).kind).toBe('not-mine');
    expect(backend.asked).toEqual([]);
    method.close();
  });
});
