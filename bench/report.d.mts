export interface Ratio {
  readonly scenario: string;
  readonly of: string;
  readonly title: string;
  readonly ratio: number;
  readonly atLeast: number | undefined;
  readonly atMost: number | undefined;
  readonly met: boolean;
}

export interface Comparison {
  readonly baseline:
    | {
        readonly rounds: number;
        readonly acknowledgedPerSecond: number;
        readonly cpuPerMessageUs: number;
        readonly drift: number;
      }
    | undefined;
  readonly ratios: readonly Ratio[];
}

export declare function compare(results: readonly Readonly<Record<string, unknown>>[]): Comparison;
