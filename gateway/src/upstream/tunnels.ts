import type { Socket } from 'node:net'
import { type buildConnector, Client, Dispatcher } from 'undici'
import type { Tunnel } from '../mesh/answer.ts'
import type { Connector } from './connector.ts'
import { IdleLimit } from './idle-limit.ts'
import type { Opener } from './open.ts'

/** The connection that carries a request, told before its first byte goes out. */
export interface Carried {
  /** Whether it had carried others before. */
  readonly reused: boolean
  /** Failed and successful dials for this request; 0 on a kept connection. */
  readonly tries: number
  readonly tunnel: Tunnel | undefined
}

export interface TunnelsOptions {
  readonly origin: string
  readonly connect: Connector
  /** Decides when a dial may be made. */
  readonly opener: Pick<Opener, 'open'>
  readonly client: Client.Options
  /** A clearer name for the failure of a request that was sent; never rejects. */
  readonly explain: (error: Error, tunnel: Tunnel | undefined) => Promise<Error>
  /** A kept connection was gone before a byte went out; the request goes over another. */
  readonly onStale: () => void
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** What a request may carry beside undici's own options. */
export interface TunnelDispatch extends Dispatcher.DispatchOptions {
  /** Ends the wait for a connection; an exchange under way is ended by its controller. */
  readonly signal?: AbortSignal | undefined
  /** How often a connection is tried for; else as the opener's default. */
  readonly tries?: number | undefined
  readonly onCarried?: ((carried: Carried) => void) | undefined
}

interface Kept {
  readonly client: Client
  readonly tunnel: Tunnel | undefined
  /** When its last answer ended. */
  idleSince: number
}

/** The connection ended before the request on it was sent. Its code is none on which undici dials again. */
class EndedConnectionError extends Error {
  override readonly name = 'EndedConnectionError'
  readonly code = 'EPIPE'
}

/**
 * A pool of connections to one engine that dials by itself. undici's pool dials inside of its clients, where a request
 * cannot end its dial, a bad error dials for ever, and nobody learns on which tunnel a request was. Here each client is
 * given one open socket and never another. There is no limit: admission holds the line.
 */
export class Tunnels extends Dispatcher {
  readonly #options: TunnelsOptions
  readonly #address: buildConnector.Options
  readonly #all = new Set<Client>()
  /** Last in, first out: the others run into their idle time. */
  readonly #idle: Kept[] = []
  readonly #dialling = new Set<AbortController>()
  readonly #idleLimit = new IdleLimit()
  #destroyed = false

  constructor(options: TunnelsOptions) {
    super()
    this.#options = options
    const { protocol, host, hostname, port } = new URL(options.origin)
    this.#address = { protocol, host, hostname: hostname.replace(/^\[|\]$/g, ''), port }
  }

  override dispatch(options: TunnelDispatch, handler: Dispatcher.DispatchHandler): boolean {
    const kept = this.#takeIdle()
    if (kept === undefined) void this.#sendFresh(options, handler)
    else this.#send(kept, options, handler, 0)
    return true
  }

  /** Ends every connection and every dial at once. */
  override async destroy(): Promise<void> {
    this.#destroyed = true
    for (const end of this.#dialling) end.abort(new Error('the pool was destroyed'))
    await Promise.all([...this.#all].map((client) => client.destroy()))
  }

  async #sendFresh(options: TunnelDispatch, handler: Dispatcher.DispatchHandler): Promise<void> {
    const { opener } = this.#options
    const end = new AbortController()
    const leave = () => end.abort(options.signal?.reason)
    this.#dialling.add(end)
    options.signal?.addEventListener('abort', leave)
    if (options.signal?.aborted) leave()
    let kept: Kept
    let tries: number
    try {
      const dialled = await opener.open((signal) => this.#dial(signal), end.signal, options.tries)
      tries = dialled.tries
      kept = this.#adopt(dialled.opened.socket, dialled.opened.tunnel)
    } catch (error) {
      failUnsent(handler, error)
      return
    } finally {
      this.#dialling.delete(end)
      options.signal?.removeEventListener('abort', leave)
    }
    this.#send(kept, options, handler, tries)
  }

  #dial(signal: AbortSignal): Promise<{ socket: Socket; tunnel: Tunnel | undefined }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ socket: Socket; tunnel: Tunnel | undefined }>()
    const onAbort = () => reject(signal.reason)
    let tunnel: Tunnel | undefined
    const onTunnel = (opened: Tunnel) => {
      tunnel = opened
    }
    signal.addEventListener('abort', onAbort)
    this.#options.connect({ ...this.#address, signal, onTunnel }, (error, socket) => {
      signal.removeEventListener('abort', onAbort)
      if (error !== null) return reject(error)
      // Whoever wanted it has left; not every road can end its dial.
      if (signal.aborted) return void socket.on('error', () => {}).destroy()
      resolve({ socket, tunnel })
    })
    return promise
  }

  /** A client of undici over one open socket. */
  #adopt(socket: Socket, tunnel: Tunnel | undefined): Kept {
    let given = false
    const connect: buildConnector.connector = (_options, callback) => {
      const first = !given
      given = true
      // undici does not look again at its queue when its connector answers before it returns.
      queueMicrotask(() => (first ? callback(null, socket) : callback(new EndedConnectionError(), null)))
    }
    const client = new Client(this.#options.origin, { ...this.#options.client, connect })
    const { now } = this.#options
    const kept: Kept = { client, tunnel, idleSince: 0 }
    const gone = (_origin: URL, _clients: readonly object[], error: Error) => {
      this.#all.delete(client)
      const at = this.#idle.indexOf(kept)
      if (at >= 0) this.#idle.splice(at, 1)
      if (at >= 0) this.#noteIdleEnd(now() - kept.idleSince, error)
      if (client.stats.size === 0) void client.destroy()
    }
    client.on('drain', () => {
      if (!client.stats.connected || client.stats.size > 0) return
      kept.idleSince = now()
      this.#idle.push(kept)
    })
    client.on('disconnect', gone).on('connectionError', gone)
    this.#all.add(client)
    return kept
  }

  /** What the end of an idle connection says about the patience of the engine. */
  #noteIdleEnd(idleMs: number, error: Error): void {
    if (isOfPeer(error)) this.#idleLimit.sawClosed(idleMs, this.#options.now())
    else this.#idleLimit.sawOpen(idleMs)
  }

  /** The oldest is open at its age where its end does not turn out to be here, unread, when the turn of the loop is over. */
  #watch(oldest: Kept, idleMs: number): void {
    if (!this.#idleLimit.learnsFrom(idleMs)) return
    setImmediate(() => {
      if (this.#idle[0] === oldest) this.#idleLimit.sawOpen(idleMs)
    })
  }

  #takeIdle(): Kept | undefined {
    const now = this.#options.now()
    const [oldest] = this.#idle
    if (oldest !== undefined) this.#watch(oldest, now - oldest.idleSince)
    for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {
      const { client, idleSince } = kept
      if (!client.stats.connected || client.destroyed) continue
      if (this.#idleLimit.allows(now - idleSince, now)) return kept
      // It and all that are older stay: they show how patient the engine is, until one of the two sides closes them.
      this.#idle.push(kept)
      return undefined
    }
    return undefined
  }

  #send(kept: Kept, options: TunnelDispatch, handler: Dispatcher.DispatchHandler, tries: number): void {
    const { tunnel } = kept
    options.onCarried?.({ reused: tries === 0, tries, tunnel })
    const { explain, onStale } = this.#options
    const again = (error: Error) => {
      // A new connection that ends before it is used would do so again and again: only a kept one is replaced.
      if (tries > 0 || this.#destroyed) return failUnsent(handler, error)
      onStale()
      void this.#sendFresh(options, handler)
    }
    kept.client.dispatch(options, new Exchange(handler, again, (error) => explain(error, tunnel)))
  }
}

/** Whether the other side ended a connection, and not undici's own clock. */
function isOfPeer(error: Error): boolean {
  const code: unknown = Reflect.get(error, 'code')
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET'
}

/** Tells a request that never got a connection; there is no controller to give then. */
function failUnsent(handler: Dispatcher.DispatchHandler, error: unknown): void {
  const noController = null as unknown as Dispatcher.DispatchController
  handler.onResponseError?.(noController, error instanceof Error ? error : new Error(String(error)))
}

/** One request on one connection: passes all on to its handler, but for a failure before the first byte went out. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler
  readonly #again: (error: Error) => void
  readonly #explain: (error: Error) => Promise<Error>
  #started = false

  constructor(
    handler: Dispatcher.DispatchHandler,
    again: (error: Error) => void,
    explain: (error: Error) => Promise<Error>,
  ) {
    this.#handler = handler
    this.#again = again
    this.#explain = explain
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#started = true
    this.#handler.onRequestStart?.(controller, context)
  }

  onResponseStart(...told: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseStart']>>): void {
    this.#handler.onResponseStart?.(...told)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#handler.onResponseData?.(controller, chunk)
  }

  onResponseEnd(...told: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseEnd']>>): void {
    this.#handler.onResponseEnd?.(...told)
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    if (!this.#started) return this.#again(error)
    void this.#explain(error).then((named) => this.#handler.onResponseError?.(controller, named))
  }
}
