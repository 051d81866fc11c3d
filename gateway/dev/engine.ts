import { fileURLToPath } from 'node:url'
import type { ProcessSpec } from './process.ts'

/** A model for the embedded engine. */
export interface EmbeddedModel {
  /** The id that the engine and the gateway show. */
  readonly id: string
  /** GGUF file. */
  readonly file: string
  /** GGUF file of the vision projector; present means that the model reads pictures. */
  readonly mmproj?: string
  /** Tokens of one request, prompt and answer together. */
  readonly context: number
  /** Requests that are generated side by side. */
  readonly slots: number
}

export interface EmbeddedEngineOptions {
  /** The Python of the engine's own environment. */
  readonly python: string
  readonly port: number
  readonly model: EmbeddedModel
  /** Left out: the engine decides from the number of cores. */
  readonly threads?: number
}

const server = fileURLToPath(new URL('engine/serve.py', import.meta.url))

/** Says how to start the embedded engine; a large model may take minutes to load. */
export function describeEngine({ python, port, model, threads }: EmbeddedEngineOptions): ProcessSpec {
  const args = ['-u', server, '--model', model.file, '--port', String(port), '--alias', model.id]
  args.push('--slots', String(model.slots), '--context', String(model.context), '--exit-with-parent')
  if (model.mmproj !== undefined) args.push('--mmproj', model.mmproj)
  if (threads !== undefined) args.push('--threads', String(threads))
  return {
    name: 'engine',
    command: python,
    args,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    ready: { by: 'line' },
    readyTimeoutMs: 300_000,
    stopTimeoutMs: 1_500,
  }
}
