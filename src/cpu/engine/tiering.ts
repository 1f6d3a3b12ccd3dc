/**
 * How the dispatch loop gets compiled. V8 starts every function in its quick compiler and optimises it only when it has run
 * for long; for one as large as the loop that costs seconds of crawling. The host may replace this by something that
 * has `firstCall` compiled well at once (host/v8.ts). What guests see does not depend on it.
 */
export const tiering = { compileWell: (firstCall: () => void): void => firstCall() };
