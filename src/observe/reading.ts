/** One metric as it is at the moment of a scrape: read from a counter or a state that exists anyway. */
export interface Reading {
  /** By Prometheus' conventions: unit last, `_total` behind counters. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly value: number;
  /** Values come from the configuration, from the code, or are bounded in number: never from clients as they like. */
  readonly labels?: Readonly<Record<string, string>>;
}
