import { configDefaults, defineConfig } from 'vitest/config';

// The fault campaign takes five minutes and draws its faults anew each time: `npm run faults:quick` runs it.
const campaign = process.env['CAMPAIGN'] === undefined ? ['test/faults/campaign.test.ts'] : [];

// Integration suites share two cores with a real Redis and a real Kafka: one file at a time.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...campaign],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
});
