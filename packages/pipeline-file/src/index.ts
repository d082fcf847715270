export { fixedKeys } from './fixed-options.ts';
export { loadPipeline } from './load.ts';
export { formatMistakes, PipelineFileError } from './mistake.ts';
export type { Mistake } from './mistake.ts';
export { pipelineJsonSchema } from './json-schema.ts';
export type { Configured, ConfiguredSink, KnownPlugin, Limits, LoadOptions, Pipeline } from './pipeline.ts';
export { resolvePlugin } from './resolve-plugin.ts';
export type { PluginLookup, PluginOf } from './resolve-plugin.ts';
