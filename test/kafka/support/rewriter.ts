import net from 'node:net';

/** One exchange with the broker; `answer` begins behind the correlation id and may be changed in place. */
export interface Exchange {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly answer: Buffer;
}

export interface Rewriter {
  readonly port: number;
  /** Sees every answer before the client does; undefined: nothing is changed. */
  rewrite: ((exchange: Exchange) => void) | undefined;
  close(): void;
}

/** Calls `each` with every whole frame: an int32 length and as many bytes (the protocol's framing in both directions). */
function frames(each: (frame: Buffer) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0);
      each(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  };
}

/** Stands between client and broker, and makes the broker answer what a test needs it to answer. */
export async function startRewriter(port: number, brokerPort: () => number): Promise<Rewriter> {
  const sockets = new Set<net.Socket>();
  const rewriter: Rewriter = {
    port,
    rewrite: undefined,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  const server = net.createServer((client) => {
    const broker = net.connect(brokerPort(), '127.0.0.1');
    for (const socket of [client, broker]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        broker.destroy();
      });
    }
    const asked = new Map<number, { apiKey: number; apiVersion: number }>();
    client.on(
      'data',
      frames((frame) => {
        asked.set(frame.readInt32BE(8), { apiKey: frame.readInt16BE(4), apiVersion: frame.readInt16BE(6) });
        broker.write(frame);
      }),
    );
    broker.on(
      'data',
      frames((frame) => {
        const request = asked.get(frame.readInt32BE(4));
        if (request !== undefined) rewriter.rewrite?.({ ...request, answer: frame.subarray(8) });
        client.write(frame);
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return rewriter;
}

export const API = { produce: 0, initProducerId: 22 } as const;

/** The error code of a Produce answer for one partition of `topic`: topics: [name, partitions: [index: int32, errorCode. */
export function setProduceError(answer: Buffer, topic: string, errorCode: number): void {
  const at = 4 + 2 + Buffer.byteLength(topic) + 4 + 4;
  answer.writeInt16BE(errorCode, at);
}

/** The error code of an InitProducerId answer: behind throttle_time_ms. */
export function setInitProducerIdError(answer: Buffer, errorCode: number): void {
  answer.writeInt16BE(errorCode, 4);
}
