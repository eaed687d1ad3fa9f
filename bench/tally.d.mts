export declare class Tally {
  readonly records: number;
  record(publisher: number, sequence: number): void;
  totals(): {
    records: number;
    distinct: number;
    distinctBy: number[];
    duplicates: number;
    missing: number;
    reordered: number;
  };
}
