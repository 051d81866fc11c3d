import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { DeadlineError, nowMs, withDeadline } from './deadline.ts'
import type { BodyCount } from './fake-bodies.ts'
import { type Outcome, unlessGone, type Wire } from './fake-delivery.ts'
import type { Behaviour } from './fake-faults.ts'

/** One request as the engine saw it; it fills up while the exchange goes on. Times as `nowMs()`. */
export interface Received {
  readonly seq: number
  readonly atMs: number
  /** Counts up with each connection: equal numbers shared a socket. */
  readonly socket: number
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  /** Set once the body is complete. */
  body?: BodyCount
  /** The parsed body, where it is JSON of at most 1 MiB. */
  json?: unknown
  outcome: 'running' | Outcome
  /** How far it had come; with an outcome, where it ended. */
  phase: 'upload' | 'head' | 'body'
  endedAtMs?: number
  /** What was answered, before chunk framing. */
  sent?: { bytes: number; events: number; sha256: string }
}

export interface Counts {
  requests: number
  /** POSTs under /v1/ not yet ended. */
  running: number
  peakRunning: number
  /** Requests whose client left before the end. */
  aborts: number
  /** Requests broken by the script. */
  faults: number
  done: number
  /** Connections whose bytes were no HTTP. */
  malformed: number
  socketsOpen: number
  socketsTotal: number
  /** Requests that the queue still waits for. */
  queued: number
}

const CHAT = '/v1/chat/completions'
const DEFAULT_WAIT_MS = 5000

/** What the engine remembers: requests, sockets, the script, who waits for a change. Everything tells the waiters. */
export class Ledger {
  readonly requests: Received[] = []
  readonly sockets = new Map<Socket, number>()
  #queue: { behaviour: Behaviour; left: number }[] = []
  readonly #defaults = new Map<string, Behaviour>()
  readonly #waiters = new Set<() => void>()
  #held = Promise.withResolvers<void>()
  #seq = 0
  #running = 0
  #peakRunning = 0
  #malformed = 0
  #socketsTotal = 0

  script(behaviours: readonly Behaviour[]): void {
    this.#queue.push(...behaviours.map((behaviour) => ({ behaviour, left: behaviour.times ?? 1 })))
  }

  setDefault(behaviour: Behaviour): void {
    this.#defaults.set(behaviour.on ?? CHAT, behaviour)
  }

  /** The behaviour for the next request on a path; uses up one turn of it. */
  take(path: string): Behaviour {
    const next = this.#queue.find(({ behaviour }) => (behaviour.on ?? CHAT) === path)
    if (next === undefined) return this.#defaults.get(path) ?? {}
    next.left -= 1
    this.#queue = this.#queue.filter(({ left }) => left > 0)
    return next.behaviour
  }

  release(): void {
    this.#held.resolve()
    this.#held = Promise.withResolvers<void>()
  }

  async hold(gone: AbortSignal): Promise<void> {
    const held = this.#held.promise
    await unlessGone(gone, (resolve) => void held.then(resolve))
  }

  reset(): void {
    this.#queue = []
    this.#defaults.clear()
    this.requests.length = 0
    this.#peakRunning = this.#running
    this.#malformed = 0
    this.#socketsTotal = this.sockets.size
  }

  connect(socket: Socket): void {
    this.#socketsTotal += 1
    this.sockets.set(socket, this.#socketsTotal)
    socket.once('close', () => {
      this.sockets.delete(socket)
      this.#changed()
    })
    this.#changed()
  }

  refuse(): void {
    this.#malformed += 1
    this.#changed()
  }

  open(request: IncomingMessage): Received {
    this.#seq += 1
    const received: Received = {
      seq: this.#seq,
      atMs: nowMs(),
      socket: this.sockets.get(request.socket) ?? 0,
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      rawHeaders: request.rawHeaders,
      outcome: 'running',
      phase: 'upload',
    }
    this.requests.push(received)
    if (generates(received)) this.#running += 1
    this.#peakRunning = Math.max(this.#peakRunning, this.#running)
    this.#changed()
    return received
  }

  advance(received: Received, phase: Received['phase']): void {
    received.phase = phase
    this.#changed()
  }

  close(received: Received, outcome: Outcome, wire: Wire): void {
    received.outcome = outcome
    received.endedAtMs = nowMs()
    received.sent = { bytes: wire.sent.bytes, events: wire.sent.events, sha256: wire.sent.sha256() }
    if (generates(received)) this.#running -= 1
    this.#changed()
  }

  counts(): Counts {
    const ended = (outcome: Outcome): number => this.requests.filter((one) => one.outcome === outcome).length
    return {
      requests: this.requests.length,
      running: this.#running,
      peakRunning: this.#peakRunning,
      aborts: ended('aborted'),
      faults: ended('fault'),
      done: ended('done'),
      malformed: this.#malformed,
      socketsOpen: this.sockets.size,
      socketsTotal: this.#socketsTotal,
      queued: this.#queue.reduce((sum, { left }) => sum + left, 0),
    }
  }

  async waitFor(predicate: (counts: Counts) => boolean, label: string, timeoutMs = DEFAULT_WAIT_MS): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const ask = (): void => {
      try {
        if (predicate(this.counts())) resolve()
      } catch (error) {
        reject(error)
      }
    }
    this.#waiters.add(ask)
    ask()
    try {
      await withDeadline(promise, timeoutMs, label)
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error
      throw new DeadlineError(`${error.message}; the engine counts ${JSON.stringify(this.counts())}`)
    } finally {
      this.#waiters.delete(ask)
    }
  }

  #changed(): void {
    for (const ask of this.#waiters) ask()
  }
}

function generates(received: Received): boolean {
  return received.method === 'POST' && received.path.startsWith('/v1/')
}
