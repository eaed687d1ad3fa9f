export interface LatencySummary {
  readonly count: number;
  readonly p50Ms: number | undefined;
  readonly p90Ms: number | undefined;
  readonly p99Ms: number | undefined;
  readonly p999Ms: number | undefined;
  readonly maxMs: number | undefined;
}

export declare class Histogram {
  record(ms: number, times?: number): void;
  reset(): void;
  percentile(percent: number): number | undefined;
  summary(): LatencySummary;
}
