import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { stringify } from 'yaml'
import { createKey } from '../src/keys/key.ts'
import { changeKeysFile } from '../src/keys/keys-file.ts'

/** The dialect of an engine, as hearth.yaml names it. */
export type EngineKind = 'vllm' | 'llamacpp' | 'sglang' | 'openai'

/** One row of the model table. */
export interface ChainModel {
  readonly id: string
  /** The engine's own name for it, when that is another. */
  readonly served?: string
  readonly aliases?: readonly string[]
  readonly vision?: { readonly coordinates?: 'absolute' | 'relative-1000' | 'relative-1' | 'none' }
  readonly context?: number
}

/** The name that the home ingress answers to, and that the gateway puts into the Host header. */
export const ingressHost = 'vllm.home'
/** The upstream of the sidecar that leads home. */
export const meshUpstream = 'gpu'
/** The one that leads to the encrypted entry point of the ingress, where it has one. */
export const meshTlsUpstream = 'gpu-tls'

export interface GatewayFileOptions {
  readonly file: string
  /** Origin of the engine without the mesh; left out: over the mesh. */
  readonly directUrl?: string
  readonly kind: EngineKind
  readonly capacity: number
  readonly models: readonly ChainModel[]
  readonly origins: readonly string[]
  /** Sections for tests: limits, timeouts. */
  readonly extra?: Readonly<Record<string, unknown>>
}

/** Writes the hearth.yaml of the chain. */
export function writeGatewayFile(options: GatewayFileOptions): void {
  const { directUrl, kind, capacity } = options
  const road =
    directUrl === undefined ? { url: `http://${ingressHost}`, via: `mesh:${meshUpstream}` } : { url: directUrl }
  const document = {
    engines: [{ name: 'gpu', ...road, kind, capacity }],
    models: options.models.map((model) => ({ engine: 'gpu', ...model })),
    cors: { origins: options.origins },
    ...options.extra,
  }
  mkdirSync(dirname(options.file), { recursive: true })
  writeFileSync(options.file, `# Written anew at every start of the chain.\n${stringify(document)}`)
}

/** Puts a fresh key under this name into the keys file, in place of the one from before, and returns its text. */
export function replaceKey(file: string, name: string): string {
  const { id, hash, text } = createKey()
  const created = new Date().toISOString()
  changeKeysFile(file, (keys) => [...keys.filter((key) => key.name !== name), { id, hash, name, created }])
  return text
}
