export function makePayload(device: string, sequence: number, bytes?: number): string;
export function readPayload(payload: Buffer | null): { device: string; sequence: number } | undefined;
export function headOf(payload: Buffer | null): { device: string; sequence: number } | undefined;
