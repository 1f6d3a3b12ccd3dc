/**
 * Two projects: `unit` (seconds, part of `npm run check`) and `slow` (boots, fuzzing, replays of whole sessions).
 * `npm test` runs both.
 */
import { defineConfig } from 'vitest/config';

// Machines and tests are deterministic: what a second try forgives in CI is a shared host's time-outs, nothing else.
const shared = {
  retry: process.env['CI'] ? 1 : 0,
  environment: 'node' as const,
  pool: 'forks' as const,
  setupFiles: ['./src/host/v8.ts'],
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.slow.test.ts', '**/node_modules/**'],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          ...shared,
          name: 'slow',
          include: ['test/**/*.slow.test.ts'],
          exclude: ['**/node_modules/**'],
          testTimeout: 1_200_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
