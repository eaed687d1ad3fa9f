/**
 * Counts the tests in the report of vitest's JSON reporter. What failed outside of any test (a file that does not
 * load, an error that nobody caught, no report at all) counts as one failed, so that no failure can read as a success.
 *
 * @param {{ testResults: { status: string, assertionResults: { status: string }[] }[] } | undefined} report
 * @param {number} exitCode of vitest
 * @returns {{ passed: number, failed: number, skipped: number }}
 */
export function countReport(report, exitCode) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { status: fileStatus, assertionResults } of report?.testResults ?? []) {
    const failedBefore = counts.failed;
    for (const { status } of assertionResults) {
      if (status === 'passed' || status === 'failed') counts[status] += 1;
      else counts.skipped += 1;
    }
    if (fileStatus === 'failed' && counts.failed === failedBefore) counts.failed += 1;
  }
  const ranNothing = counts.passed + counts.failed === 0;
  if (counts.failed === 0 && (exitCode !== 0 || report === undefined || ranNothing)) counts.failed = 1;
  return counts;
}
