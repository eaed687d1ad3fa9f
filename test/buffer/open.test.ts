import { describe, expect, it } from 'vitest';
import { createStore } from '../../src/buffer/open.ts';

describe('createStore', () => {
  const bounds = { shards: 3, maxBytes: 1e6 };

  it('makes the configured backend, with its bounds', () => {
    const stores = [
      createStore({ store: 'level', path: 'data', ...bounds }),
      createStore({ store: 'redis', url: 'redis://127.0.0.1:1', ...bounds }),
      createStore({ store: 'memory', ...bounds }),
    ];
    expect(stores.map(({ kind }) => kind)).toEqual(['level', 'redis', 'memory']);
    for (const store of stores) expect(store).toMatchObject(bounds);
  });

  it('names what the backend needs and does not have', () => {
    expect(() => createStore({ store: 'level', ...bounds })).toThrow(/buffer\.path is missing/);
    expect(() => createStore({ store: 'redis', ...bounds })).toThrow(/buffer\.url is missing/);
  });
});
