import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Log } from '../log.ts'
import type { Meters } from '../metrics.ts'

export interface ConnectionsOptions {
  readonly connectionsMax: number
  readonly meters: Pick<Meters, 'connectionShed'>
  readonly log: Log
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** Of the places, kept free for newcomers while there are idle connections to close. */
const spareShare = 1 / 8
/** So long a connection may be idle, or bring its first head, whatever the crowd. */
const graceMs = 1_000
const lookEveryMs = 250
const warnEveryMs = 10_000

/**
 * Bounds the connections of the public listener. What comes above the bound is closed unread. Before that, those who
 * have been without a request for the longest are closed: whoever holds connections and asks nothing cannot shut
 * out the others, the health check among them. Streams and uploads are never closed for it.
 */
export class Connections {
  readonly #options: ConnectionsOptions
  readonly #sparesMin: number
  /** Requests under way on each connection. */
  readonly #open = new Map<Socket, number>()
  /** Since when it has been idle; the longest stands first. */
  readonly #idleSince = new Map<Socket, number>()
  #look: NodeJS.Timeout | undefined
  #warnedAt = Number.NEGATIVE_INFINITY

  constructor(options: ConnectionsOptions) {
    this.#options = options
    this.#sparesMin = Math.floor(options.connectionsMax * spareShare)
  }

  get size(): number {
    return this.#open.size
  }

  /** Begins to watch the server, which must not be listening yet. */
  watch(server: Server): void {
    server.maxConnections = this.#options.connectionsMax
    server.on('connection', (socket) => this.#enter(socket))
    server.on('drop', () => this.#refused())
    const begin = ({ socket }: IncomingMessage, outgoing: ServerResponse) => this.#begin(socket, outgoing)
    for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, begin)
  }

  #enter(socket: Socket): void {
    this.#open.set(socket, 0)
    this.#idleSince.set(socket, this.#options.now())
    socket.once('close', () => {
      this.#open.delete(socket)
      this.#idleSince.delete(socket)
    })
    this.#lookLater()
  }

  #begin(socket: Socket, outgoing: ServerResponse): void {
    this.#open.set(socket, (this.#open.get(socket) ?? 0) + 1)
    this.#idleSince.delete(socket)
    outgoing.once('close', () => {
      const left = (this.#open.get(socket) ?? 1) - 1
      if (!this.#open.has(socket)) return
      this.#open.set(socket, left)
      if (left === 0) this.#idleSince.set(socket, this.#options.now())
    })
  }

  #lookLater(): void {
    if (this.#look !== undefined || !this.#isCrowded()) return
    this.#look = setTimeout(() => {
      this.#look = undefined
      this.#makeRoom()
      this.#lookLater()
    }, lookEveryMs)
    this.#look.unref()
  }

  #isCrowded(): boolean {
    return this.#open.size > this.#options.connectionsMax - this.#sparesMin
  }

  #makeRoom(): void {
    const before = this.#options.now() - graceMs
    let tooMany = this.#open.size - (this.#options.connectionsMax - this.#sparesMin)
    for (const [socket, since] of this.#idleSince) {
      if (tooMany <= 0 || since > before) return
      tooMany -= 1
      this.#idleSince.delete(socket)
      this.#options.meters.connectionShed('idle')
      socket.destroy()
    }
  }

  #refused(): void {
    const { meters, log, now, connectionsMax } = this.#options
    meters.connectionShed('full')
    if (now() - this.#warnedAt < warnEveryMs) return
    this.#warnedAt = now()
    log('WARNING', 'connections full', { connectionsMax, idle: this.#idleSince.size })
  }
}
