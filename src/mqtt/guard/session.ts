/** What the guard knows of a connection from the packets that have passed: all that its later packets are judged by. */

export interface GuardLimits {
  /** Largest CONNECT: what a client may make us hold before we know who it is. */
  readonly connectMaxBytes: number;
  /** Largest packet of a client that is in. */
  readonly packetMaxBytes: number;
  /** Highest topic alias that the CONNACK allows. */
  readonly topicAliasMaximum: number;
  /** Levels of a topic or filter that the broker can hold. */
  readonly topicLevelsMax: number;
}

export interface Session {
  readonly limits: GuardLimits;
  /** 0 until a CONNECT has named it; 3 is MQTT 3.1, 4 is 3.1.1. */
  version: number;
  /** Its CONNECT was valid. */
  connected: boolean;
  /** CONNECT named an authentication method. */
  authenticationMethod: boolean;
  /** What CONNECT or, last, DISCONNECT said; 0: the session ends with the connection. */
  sessionExpiryInterval: number;
  /** Topic aliases that were set, one bit each; made when the first is. */
  aliases: Uint8Array | undefined;
}

export function newSession(limits: GuardLimits): Session {
  return {
    limits,
    version: 0,
    connected: false,
    authenticationMethod: false,
    sessionExpiryInterval: 0,
    aliases: undefined,
  };
}
