/** Arguments of npm scripts (benchmarks, fuzzers and their like, which are no commands of rexen): help, and errors for people. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

/**
 * As node:util's parseArgs. `--help` prints `usage`, which has an example, and ends the process; so do wrong arguments, with
 * status 2.
 */
export function scriptArguments<T extends ParseArgsConfig>(usage: string, config: T): ReturnType<typeof parseArgs<T>> {
  if (process.argv.includes('--help') || process.argv.includes('-h')) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    const [what] = (error as Error).message.split('. ');
    console.error(`${what}\n${usage}`);
    process.exit(2);
  }
}
