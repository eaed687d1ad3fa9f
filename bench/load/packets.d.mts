export declare const PINGREQ: Buffer;
export declare const DISCONNECT: Buffer;
export declare function connectPacket(clientId: string): Buffer;
export declare function publishRing(options: {
  topic: string;
  publisher: number;
  qos: 0 | 1 | 2;
  sizeBytes: number;
  slots: number;
}): { ring: Buffer; packetBytes: number; payloadAt: number };
export declare function pubrelRing(slots: number): Buffer;
