export {
  bodyOf,
  collect,
  dumpLikeBody,
  endlessBody,
  gatedBody,
  inOddChunks,
  randomBody,
  sha256Of,
  stalledBody,
  throwingBody,
  watchedBody,
} from './bodies.ts';
export type { GatedBody, WatchedBody } from './bodies.ts';
export { fakeClock, realClock, recordingLogger, testContext } from './context.ts';
export type { FakeClock, LogEntry, RecordingLogger, TestContext, TestContextOptions } from './context.ts';
export { faultySink } from './faulty-sink.ts';
export type { Fault, FaultySink, SinkMethod } from './faulty-sink.ts';
export { memorySink, memorySinkTraits } from './memory-sink.ts';
export type { MemorySink } from './memory-sink.ts';
