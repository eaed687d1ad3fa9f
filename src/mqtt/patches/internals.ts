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
  /** Who published it. */
  clientId?: string;
  /** When it is void, milliseconds since the epoch. */
  messageExpiry?: number;
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
  username?: string;
  password?: Buffer;
  subscriptions?: Subscription[];
  unsubscriptions?: string[];
  reasonCode?: number;
}

/** What a hook may say with a refusal. */
export interface HookError extends Error {
  /** Of MQTT 3 (§3.2.2.3), 2 to 5. */
  readonly returnCode?: number;
  /** With a server reference: 0x9C or 0x9D. */
  readonly reasonCode?: number;
  readonly serverReference?: string;
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
  subscriptions: Record<string, unknown>;
  duplicates: Record<string, number>;
  will: WillPacket | null;
  sessionExpiryInterval: number;
  /** As the CONNECT said: what a DISCONNECT may say depends on it [MQTT-3.14.2-2]. */
  _connectSessionExpiryInterval: number;
  _wireVersion: number | null;
  _authorized: boolean;
  _connectTimer: NodeJS.Timeout | null;
  _cleanStart: boolean;
  /** false: it wants no Reason String in acknowledgements [MQTT-3.1.2-29]. */
  _requestProblemInformation?: boolean;
  /** Of a client that gave no id: the one that aedes has chosen. */
  _assignedClientId?: string;
  /** Of the CONNECT, before it is accepted. */
  _will: WillPacket | null;
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
  waitForDrain(done: () => void): void;
}

export type Done = (error?: Error | null) => void;
export type HookDone = (error: HookError | null, accepted?: boolean) => void;

export interface AedesBroker extends EventEmitter {
  id: string;
  closed: boolean;
  connectedClients: number;
  maxTopicLevels: number;
  clients: Record<string, AedesClient>;
  brokers: Record<string, number>;
  counter: number;
  delayedWills: Map<string, unknown>;
  preConnect: (client: AedesClient, packet: AnyPacket, done: HookDone) => void;
  authenticate: (
    client: AedesClient,
    username: string | undefined,
    password: Buffer | undefined,
    done: HookDone,
  ) => void;
  _clearWillInterval: NodeJS.Timeout;
  _takingOver: Set<string>;
  handle(stream: Duplex): AedesClient;
  listen(): Promise<void>;
  publish(packet: object, client: AedesClient | null, done: Done): void;
  close(done: () => void): void;
  registerClient(client: AedesClient): void;
  clearDelayedWill(clientId: string): void;
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
const brokerMethods = [
  'registerClient',
  'unregisterClient',
  'scheduleSessionExpiry',
  'clearDelayedWill',
  'publishWill',
  'scheduleWill',
  'preConnect',
  'authenticate',
] as const;

export function assertInternals(broker: AedesBroker): void {
  for (const member of [...brokerMembers, ...brokerMethods]) {
    if (broker[member] !== undefined) continue;
    throw new SluiceError('STORE_FORMAT', `aedes has no ${member}: another version than 2.0.0-beta.1 is installed`);
  }
}
