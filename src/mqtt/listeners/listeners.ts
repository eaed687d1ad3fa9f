/** Starts the listeners that are configured; all of them or none. */
import type { Socket } from 'node:net';
import { ConnectionGate } from './gate.ts';
import type { Handle, ListenerContext, Listening } from './listening.ts';
import { startTcp, type TcpListenerOptions } from './tcp.ts';
import { startTls, type TlsListenerOptions } from './tls.ts';
import { startWs, startWss, upgrade, type Upgrade, type WsListenerOptions, type WssListenerOptions } from './ws.ts';

export type { Listening } from './listening.ts';

export interface ListenersOptions {
  readonly mqtt?: TcpListenerOptions | undefined;
  readonly mqtts?: TlsListenerOptions | undefined;
  readonly ws?: WsListenerOptions | undefined;
  readonly wss?: WssListenerOptions | undefined;
}

export interface ListenerSurroundings extends Pick<ListenerContext, 'clientFault' | 'fault' | 'revoked'> {
  readonly limits: {
    readonly connections: number;
    /** Absent: no limit. */
    readonly connectionsPerAddress?: number;
    readonly tlsHandshakes?: number;
    readonly maxPacketSizeBytes: number;
    readonly connectTimeoutMs: number;
  };
}

export interface Listeners {
  readonly listening: readonly Listening[];
  readonly connections: Pick<ConnectionGate, 'open' | 'turnedAway' | 'traffic'>;
  /** For connections that come from now on. */
  limit(limits: Pick<ListenerSurroundings['limits'], 'connections' | 'connectionsPerAddress' | 'tlsHandshakes'>): void;
  /** A request for MQTT over WebSocket that came to another HTTP server, which has judged path and origin. */
  readonly upgrade: Upgrade;
  /** No new connections; those that are open go on. */
  stopAccepting(): Promise<void>;
  /** Ends what is left of connections, those included that never got to MQTT. */
  close(): Promise<void>;
}

/** @throws SluiceError LISTENER_FAILED; nothing listens then */
export async function startListeners(
  options: ListenersOptions,
  handle: Handle,
  surroundings: ListenerSurroundings,
): Promise<Listeners> {
  const { limits, clientFault, fault, revoked } = surroundings;
  const gate = new ConnectionGate(limits.connections, limits.connectionsPerAddress);
  let handshakesMax = limits.tlsHandshakes ?? Infinity;
  const context: ListenerContext = {
    gate,
    handle,
    clientFault,
    fault,
    ...(revoked === undefined ? {} : { revoked }),
    handshakesMax: () => handshakesMax,
    handshakeTimeoutMs: limits.connectTimeoutMs,
    maxPacketSizeBytes: limits.maxPacketSizeBytes,
  };
  const starts: Promise<Listening>[] = [];
  if (options.mqtt !== undefined) starts.push(startTcp(options.mqtt, context));
  if (options.mqtts !== undefined) starts.push(startTls(options.mqtts, context));
  if (options.ws !== undefined) starts.push(startWs(options.ws, context));
  if (options.wss !== undefined) starts.push(startWss(options.wss, context));
  const results = await Promise.allSettled(starts);
  const listening = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failure = results.find((result) => result.status === 'rejected');
  let accepting = true;
  const stopAccepting = async (): Promise<void> => {
    accepting = false;
    await Promise.all(listening.map((each) => each.close()));
  };
  if (failure !== undefined) {
    await stopAccepting();
    throw failure.reason;
  }
  const open = upgrade('ws', context);
  return {
    listening,
    upgrade: (request, socket, head) => {
      if (!accepting) socket.destroy();
      else if (gate.admit(socket as Socket)) open(request, socket, head);
    },
    connections: gate,
    limit: (next) => {
      gate.max = next.connections;
      gate.maxPerAddress = next.connectionsPerAddress ?? Infinity;
      handshakesMax = next.tlsHandshakes ?? Infinity;
    },
    stopAccepting,
    close: async () => {
      await stopAccepting();
      gate.destroyAll();
    },
  };
}
