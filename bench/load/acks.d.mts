export declare const CONNACK: 0x20;
export declare const PUBACK: 0x40;
export declare const PUBREC: 0x50;
export declare const PUBCOMP: 0x70;
export declare const PINGRESP: 0xd0;

export declare class AckReader {
  constructor(onPacket: (type: number, id: number) => void);
  read(chunk: Buffer): void;
}
