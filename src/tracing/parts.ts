// What is loaded when the first call is traced, or when metrics are first sent to a collector.

export { contextOf, parentHeader } from './context.ts'
export { createExporter, metricsEnvelope, post } from './exporter.ts'
