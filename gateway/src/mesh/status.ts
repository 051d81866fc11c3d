import { request as httpRequest } from 'node:http'
import { HearthError } from '../errors.ts'
import { type MeshPath, meshCode, readPath, type Tunnel } from './answer.ts'

/** How the way to an upstream was when it was last looked at. */
export interface Way {
  readonly path: MeshPath
  readonly rttMs: number | undefined
}

export interface MeshStatusOptions {
  /** The sidecar's status port; undefined: it is never asked, and tunnels alone tell the way. */
  readonly url: string | undefined
  readonly now: () => number
}

/** The answer to a caller waits for this question. */
const fateMs = 300
const statusMs = 1_000
const statusEveryMs = 5_000
/** The sidecar measures for up to 3 s. */
const warmMs = 4_000
const idleMs = 60_000
const answerBytesMax = 1024 * 1024
/** What asking comes to where nobody listens, or dies while he is asked. */
const gone = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE'])

/**
 * What the gateway asks of the sidecar's status port: why a tunnel was cut, which way the tunnels take, and to warm the
 * road after a pause. No question delays or fails a request, but for `explainCut`, which takes at most 300 ms.
 */
export class MeshStatus {
  readonly #options: MeshStatusOptions
  readonly #ways = new Map<string, Way>()
  readonly #end = new AbortController()
  #askedAt = Number.NEGATIVE_INFINITY
  #usedAt = Number.NEGATIVE_INFINITY
  #warming = false

  constructor(options: MeshStatusOptions) {
    this.#options = options
  }

  /** The latest word about the way to an upstream, of its newest tunnel or of the status port. */
  wayTo(upstream: string): Way | undefined {
    return this.#ways.get(upstream)
  }

  /** A tunnel was opened. */
  sawTunnel(upstream: string, { path, rttMs }: Tunnel): void {
    if (path !== undefined) this.#ways.set(upstream, { path, rttMs })
  }

  /** A request came in. After a pause the road is warmed while the body arrives; the ways are asked for now and then. */
  arrived(): void {
    const now = this.#options.now()
    const idle = now - this.#usedAt >= idleMs
    this.#usedAt = now
    if (idle) void this.#warm()
    if (now - this.#askedAt < statusEveryMs) return
    this.#askedAt = now
    void this.#refresh()
  }

  /** The sidecar's reason for cutting this tunnel, or that it is gone itself; undefined when it did not cut it or does not say in time. */
  async explainCut(tunnel: Tunnel, cause: Error): Promise<HearthError | undefined> {
    if (tunnel.id === undefined) return undefined
    const { said, failure } = await this.#ask('GET', `/v1/tunnels/${tunnel.id}`, fateMs)
    if (typeof failure === 'string' && gone.has(failure)) {
      const detail = `The tunnel broke, and so does HEARTH_MESH_STATUS_URL (${failure}): did meshlink end?`
      return new HearthError('mesh_sidecar_down', { detail, cause })
    }
    if (field(said, 'state') === 'foreign') {
      const detail = 'The tunnel broke because meshlink ended; another process of it answers by now'
      return new HearthError('mesh_sidecar_down', { detail, cause })
    }
    if (field(said, 'state') !== 'cut') return undefined
    const detail = `The sidecar cut the tunnel: ${JSON.stringify(said).slice(0, 500)}`
    return new HearthError(meshCode(field(said, 'code')), { detail, cause })
  }

  /** Ends every question. */
  close(): void {
    this.#end.abort()
  }

  async #warm(): Promise<void> {
    if (this.#warming) return
    this.#warming = true
    this.#read((await this.#ask('POST', '/v1/warm', warmMs)).said)
    this.#warming = false
  }

  async #refresh(): Promise<void> {
    this.#read((await this.#ask('GET', '/v1/status', statusMs)).said)
  }

  /** Both documents list their upstreams with `name`, `path` and `rttMs`. */
  #read(document: unknown): void {
    const upstreams = field(document, 'upstreams')
    if (!Array.isArray(upstreams)) return
    for (const upstream of upstreams.slice(0, 64)) {
      const [name, path, rttMs] = [field(upstream, 'name'), readPath(field(upstream, 'path')), field(upstream, 'rttMs')]
      if (typeof name !== 'string' || path === undefined) continue
      this.#ways.set(name, { path, rttMs: typeof rttMs === 'number' && rttMs >= 0 ? rttMs : undefined })
    }
  }

  /** The JSON of an answer of any status, or why there is none in time. Never rejects. */
  #ask(method: 'GET' | 'POST', path: string, timeoutMs: number): Promise<Heard> {
    const { promise, resolve } = Promise.withResolvers<Heard>()
    const { url } = this.#options
    if (url === undefined || this.#end.signal.aborted) return Promise.resolve({})
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#end.signal])
    // A connection of its own each: questions are rare, and a kept one would outlive the sidecar.
    const asked = httpRequest(new URL(path, url), { method, signal, agent: false }, (answer) => {
      const chunks: Buffer[] = []
      let bytes = 0
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > answerBytesMax) asked.destroy()
        else chunks.push(chunk)
      })
      answer.on('end', () => resolve({ said: parse(Buffer.concat(chunks)) }))
      answer.on('error', () => {}).on('close', () => resolve({}))
    })
    asked.on('error', (error) => resolve({ failure: field(error, 'code') })).end()
    return promise
  }
}

/** What a question came to. */
interface Heard {
  readonly said?: unknown
  /** Node's code of the failure. */
  readonly failure?: unknown
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

function field(value: unknown, key: string): unknown {
  return value !== null && typeof value === 'object' ? Reflect.get(value, key) : undefined
}
