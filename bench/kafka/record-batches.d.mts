export declare function readBatches(
  buffer: Buffer,
  onValue: (buffer: Buffer, start: number, end: number) => void,
): bigint | undefined;
