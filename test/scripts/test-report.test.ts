import { describe, expect, it } from 'vitest';
import { countReport } from '../../scripts/test-report.mjs';

const file = (status: string, ...tests: string[]) => ({
  status,
  assertionResults: tests.map((each) => ({ status: each })),
});

describe('the count at the end of npm test', () => {
  it('counts passed, failed and skipped tests of all files', () => {
    const report = {
      testResults: [file('passed', 'passed', 'skipped', 'todo'), file('failed', 'passed', 'failed', 'pending')],
    };
    expect(countReport(report, 1)).toEqual({ passed: 2, failed: 1, skipped: 3 });
  });

  it('counts a file that did not load as one failed', () => {
    const report = { testResults: [file('failed'), file('passed', 'passed')] };
    expect(countReport(report, 1)).toEqual({ passed: 1, failed: 1, skipped: 0 });
  });

  it('counts a failed hook as failed when no test of the file failed', () => {
    const report = { testResults: [file('failed', 'passed', 'skipped')] };
    expect(countReport(report, 1)).toEqual({ passed: 1, failed: 1, skipped: 1 });
  });

  it('never calls a run without a failed test a success when the runner did not', () => {
    expect(countReport({ testResults: [file('passed', 'passed')] }, 1)).toEqual({ passed: 1, failed: 1, skipped: 0 });
  });

  it('counts a run without a report, or without any test, as failed', () => {
    expect(countReport(undefined, 0).failed).toBe(1);
    expect(countReport({ testResults: [] }, 0).failed).toBe(1);
    expect(countReport({ testResults: [file('passed', 'skipped')] }, 0)).toEqual({ passed: 0, failed: 1, skipped: 1 });
  });
});
