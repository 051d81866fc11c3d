/**
 * Attacks on a gateway's public port that cost the attacker little, in a process of its own, so that it takes neither
 * the event loop of the tests nor that of the gateway. Each is bounded in sockets, bytes and time by its plan.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { nowMs, withDeadline } from './deadline.ts'

/** What every socket of an attack does. */
export interface Plan {
  readonly port: number
  readonly sockets: number
  /** Connects that may be under way at once. Default 200. */
  readonly connectsMax?: number
  /** The first bytes of each socket, one character one byte. */
  readonly opening: string
  /** Sent again and again after the opening. */
  readonly trickle?: { readonly text: string; readonly everyMs: number }
  /** Bytes that a socket reads of its answer, one by one; without it everything is read at once. */
  readonly readBytesPerSecond?: number
  /** Sockets that were refused or cut are opened anew, for as long as the attack goes on. */
  readonly again?: boolean
}

/** What became of the sockets. */
export interface Tally {
  readonly opened: number
  /** Open now. */
  readonly open: number
  readonly refused: number
  /** First answers by status. */
  readonly statuses: Readonly<Record<string, number>>
  /** From the connect to the first byte of the answer, and to the end of the socket, at most. */
  readonly answeredMsMax: number
  readonly closedMsMax: number
  readonly bytesRead: number
}

/** An attack under way; whoever starts it stops it. */
export interface Attack extends AsyncDisposable {
  tally(): Promise<Tally>
  /** Resolves with the first tally that fits, asked again and again. */
  until(fits: (tally: Tally) => boolean, label: string, timeoutMs: number): Promise<Tally>
  /** Closes every socket and ends the process. */
  stop(): Promise<void>
}

const askEveryMs = 100
const answerMs = 10_000

export async function startAttack(plan: Plan): Promise<Attack> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(plan)], { stdio: 'inherit' })
  const end = () => void child.kill('SIGKILL')
  process.once('exit', end)
  child.once('exit', () => process.off('exit', end))
  await withDeadline(once(child, 'message'), answerMs, 'the attacker has started')
  const tally = async (): Promise<Tally> => {
    const answer = once(child, 'message')
    child.send('tally')
    const [told] = await withDeadline(answer, answerMs, 'the attacker tells its tally')
    return told as Tally
  }
  const stop = () => stopChild(child)
  return {
    tally,
    until: async (fits, label, timeoutMs) => {
      const until = nowMs() + timeoutMs
      for (;;) {
        const told = await tally()
        if (fits(told)) return told
        if (nowMs() > until) throw new Error(`not within ${timeoutMs} ms: ${label}; ${JSON.stringify(told)}`)
        await new Promise((resolve) => setTimeout(resolve, askEveryMs))
      }
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await withDeadline(exited, answerMs, 'the attacker has ended')
}

class Sockets {
  readonly #plan: Plan
  readonly #open = new Set<Socket>()
  #connecting = 0
  #opened = 0
  #refused = 0
  #answeredMsMax = 0
  #closedMsMax = 0
  #bytesRead = 0
  readonly #statuses: Record<string, number> = {}

  constructor(plan: Plan) {
    this.#plan = plan
    if (plan.trickle !== undefined) setInterval(() => this.#trickle(), plan.trickle.everyMs)
    this.#more()
  }

  tally(): Tally {
    return {
      opened: this.#opened,
      open: this.#open.size,
      refused: this.#refused,
      statuses: this.#statuses,
      answeredMsMax: Math.round(this.#answeredMsMax),
      closedMsMax: Math.round(this.#closedMsMax),
      bytesRead: this.#bytesRead,
    }
  }

  #more(): void {
    const { sockets, connectsMax = 200, again = false } = this.#plan
    const left = () => (again ? sockets - this.#open.size : sockets - this.#opened - this.#refused) - this.#connecting
    while (left() > 0 && this.#connecting < connectsMax) this.#connect()
  }

  #connect(): void {
    this.#connecting += 1
    const { port, opening, readBytesPerSecond } = this.#plan
    let first = ''
    let startedMs = 0
    const onBytes = (bytes: Buffer) => {
      this.#bytesRead += bytes.length
      if (first.length >= 12) return
      if (first === '') this.#answeredMsMax = Math.max(this.#answeredMsMax, nowMs() - startedMs)
      first += bytes.toString('latin1')
      const status = /^HTTP\/1\.1 (\d{3})/.exec(first)?.[1]
      if (status !== undefined) this.#statuses[status] = (this.#statuses[status] ?? 0) + 1
    }
    const address = { port, host: '127.0.0.1', noDelay: true }
    const socket =
      readBytesPerSecond === undefined ? connect(address) : slowReader(address, readBytesPerSecond, onBytes)
    if (readBytesPerSecond === undefined) socket.on('data', onBytes)
    let connected = false
    socket.on('connect', () => {
      connected = true
      startedMs = nowMs()
      this.#connecting -= 1
      this.#opened += 1
      this.#open.add(socket)
      socket.write(Buffer.from(opening, 'latin1'))
      this.#more()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (connected) this.#closedMsMax = Math.max(this.#closedMsMax, nowMs() - startedMs)
      else {
        this.#connecting -= 1
        this.#refused += 1
      }
      this.#open.delete(socket)
      // Not at once, or one that is refused again and again would leave no time for anything else.
      setTimeout(() => this.#more(), 20)
    })
  }

  #trickle(): void {
    for (const socket of this.#open) if (socket.writable) socket.write(this.#plan.trickle?.text ?? '', 'latin1')
  }
}

/** Takes one byte at a time from the kernel: what it has not taken stays there, or at the other side. */
function slowReader(
  address: { port: number; host: string },
  bytesPerSecond: number,
  onBytes: (bytes: Buffer) => void,
): Socket {
  const socket: Socket = connect({
    ...address,
    onread: {
      buffer: Buffer.alloc(1),
      callback: (count, buffer) => {
        onBytes(Buffer.from(buffer.subarray(0, count)))
        setTimeout(() => socket.resume(), 1000 / bytesPerSecond)
        return false
      },
    },
  })
  return socket
}

if (import.meta.main) {
  const sockets = new Sockets(JSON.parse(process.argv[2] ?? '{}') as Plan)
  process.on('message', () => process.send?.(sockets.tally()))
  process.on('disconnect', () => process.exit(0))
  process.send?.('started')
}
