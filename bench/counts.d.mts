export interface Sent {
  readonly published: number;
  readonly acknowledged: number;
  readonly acknowledgedBy: readonly number[];
  readonly faults: readonly string[];
}

export interface Received {
  readonly records: number;
  readonly distinctBy: readonly number[];
  readonly duplicates: number;
  readonly missing: number;
  readonly reordered: number;
  readonly faults: readonly string[];
}

export interface Ledger {
  readonly accepted: number;
  readonly delivered: number;
  readonly taken: number | undefined;
}

export declare function checkCounts(sent: Sent, received: Received | undefined): string[];
export declare function checkLedger(acknowledged: number, ledger: Ledger | undefined): string[];
