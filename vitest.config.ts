import { defineConfig, type ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['{packages,plugins}/*/{src,test}/**/*.test.ts', '{test,examples,tools}/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', '**/fixtures/**'],
    environment: 'node',
    globalSetup: ['test/services/built-command.ts'],
    // Processes, not threads: tests send signals, change folders and count what is left running.
    pool: 'forks',
    // Tests start real servers; more workers than this starve them of the processor and of memory.
    maxWorkers: 2,
    // A guard against what hangs. On a slow machine some tests take half of it.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    // A result kept in node_modules would order the next run by the last one.
    cache: false,
    // "No test" is judged by tools/test.ts, which knows whether a filter was given.
    passWithNoTests: false,
  },
});

export default config;
