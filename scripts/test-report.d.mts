export interface Report {
  testResults: { status: string; assertionResults: { status: string }[] }[];
}

export declare function countReport(
  report: Report | undefined,
  exitCode: number,
): { passed: number; failed: number; skipped: number };
