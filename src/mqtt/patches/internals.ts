/**
 * What sluice uses of aedes 2.0.0-beta.1 beyond its types, in one place. `assertInternals` fails at start, with the name of
 * what is missing, when another version of aedes is installed.
 */
import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { SluiceError } from '../../errors.ts';

/** MQTT 5 properties as mqtt-packet reads them. A property given twice becomes an array. */
export type PacketProperties = Record<string, unknown>;

export interface PublishPacket {
  cmd: 'publish';
  topic: string;
  payload: Buffer | string;
  qos: 0 | 1 | 2;
  retain: boolean;
  dup: boolean;
  messageId?: number;
  properties?: PacketProperties;
  /** handlers/publish.js: with this set aedes neither acknowledges nor publishes; see Connection. */
  _notAuthorized?: boolean;
}

export interface WillPacket {
  topic: string;
  payload: Buffer | string;
  qos: 0 | 1 | 2;
  retain: boolean;
  properties?: PacketProperties;
}

export interface Subscription {
  topic: string;
  /** Replaced by the granted QoS or the reason code once the SUBSCRIBE is done. */
  qos: number;
  nl?: boolean;
  rap?: boolean;
  rh?: number;
  subscriptionIdentifier?: number;
}

export interface AnyPacket {
  cmd: string;
  topic?: string;
  qos?: number;
  length?: number;
  messageId?: number;
  properties?: PacketProperties;
  protocolVersion?: number;
  clientId?: string;
  clean?: boolean;
  keepalive?: number;
  will?: WillPacket;
  subscriptions?: Subscription[];
}

export interface AedesClient extends EventEmitter {
  id: string;
  version: number | null;
  clean: boolean;
  closed: boolean;
  connecting: boolean;
  connected: boolean;
  connackSent: boolean;
  errored: boolean;
  conn: Duplex;
  subscriptions: Record<string, { readonly qos: number }>;
  duplicates: Record<string, number>;
  sessionExpiryInterval: number;
  _cleanStart: boolean;
  /** false: it wants no Reason String in acknowledgements [MQTT-3.1.2-29]. */
  _requestProblemInformation?: boolean;
  /** Of a client that gave no id: the one that aedes has chosen. */
  _assignedClientId?: string;
  /** Of the CONNECT, before it is accepted. */
  _will?: WillPacket;
  /** What the client takes, in bytes (MQTT 5.0 §3.1.2.11.4). */
  maximumPacketSize?: number;
  /** A DISCONNECT that discards the will has come. */
  _disconnected: boolean;
  _paused?: boolean;
  /** Packets that are read and not done. */
  _parsingBatch: number;
  _nextBatch: (error?: unknown) => void;
  _parser: EventEmitter & { parse(bytes: Buffer): void };
  _keepaliveTimer: NodeJS.Timeout | null;
  _keepaliveInterval: number;
  pause(): void;
  resume(): void;
  close(done?: () => void): void;
  disconnect(options: { reasonCode: number }, done?: () => void): void;
  unsubscribe(packet: { unsubscriptions: string[] }, done: (error?: Error | null) => void): void;
  subscribe(
    packet: { subscriptions: Subscription[]; properties?: PacketProperties },
    done: (error?: Error | null) => void,
  ): void;
  waitForDrain(done: () => void): void;
}

export type Done = (error?: Error | null) => void;

export interface AedesBroker extends EventEmitter {
  id: string;
  closed: boolean;
  connectedClients: number;
  maxTopicLevels: number;
  clients: Record<string, AedesClient>;
  brokers: Record<string, number>;
  _clearWillInterval: NodeJS.Timeout;
  _takingOver: Set<string>;
  handle(stream: Duplex): AedesClient;
  listen(): Promise<void>;
  publish(packet: object, client: AedesClient | null, done: Done): void;
  close(done: () => void): void;
  unregisterClient(client: AedesClient): void;
  scheduleSessionExpiry(client: AedesClient): void;
  publishWill(client: AedesClient, will: WillPacket): void;
  scheduleWill(client: AedesClient, will: WillPacket, delaySeconds: number): void;
}

const brokerMembers = [
  'clients',
  'brokers',
  'maxTopicLevels',
  '_takingOver',
  'handle',
  'listen',
  'publish',
  'close',
] as const;
const brokerMethods = ['unregisterClient', 'scheduleSessionExpiry', 'publishWill', 'scheduleWill'] as const;

export function assertInternals(broker: AedesBroker): void {
  for (const member of [...brokerMembers, ...brokerMethods]) {
    if (broker[member] !== undefined) continue;
    throw new SluiceError('STORE_FORMAT', `aedes has no ${member}: another version than 2.0.0-beta.1 is installed`);
  }
}
