/**
 * Loaded into a gateway before it starts: on SIGUSR2 it writes one line of what the process holds. By NODE_OPTIONS, so
 * that the program under test stays as it is.
 */
import type { Gateway } from './harness.ts'
import { watchStandstill } from './standstill.ts'

/** What a process holds after a full collection. */
export interface Held {
  readonly heapMiB: number
  readonly timers: number
  readonly sockets: number
  /** The longest time for which it did not run though it wanted to, in milliseconds. */
  readonly standstillMs: number
}

/** The environment of a gateway that can be asked. */
export function probeEnv(): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--expose-gc --import=${import.meta.filename}`, HEARTH_TEST_PROBE: '1' }
}

/** Asks a gateway that was started with `probeEnv()`. */
export async function askHeld(gateway: Gateway): Promise<Held> {
  const isProbe = ({ message }: Readonly<Record<string, unknown>>) => message === 'probe'
  const before = gateway.logs().filter(isProbe).length
  process.kill(gateway.pid, 'SIGUSR2')
  await gateway.waitForLog(() => gateway.logs().filter(isProbe).length > before, 'the process says what it holds')
  const { heapMiB, timers, sockets, standstillMs } = gateway.logs().findLast(isProbe) ?? {}
  return {
    heapMiB: Number(heapMiB),
    timers: Number(timers),
    sockets: Number(sockets),
    standstillMs: Number(standstillMs),
  }
}

if (process.env['HEARTH_TEST_PROBE'] === '1') {
  const standstill = watchStandstill()
  process.on('SIGUSR2', () => {
    // Twice: what has a finalizer goes with the second.
    globalThis.gc?.()
    globalThis.gc?.()
    const kinds = process.getActiveResourcesInfo()
    const count = (kind: string) => kinds.filter((one) => one === kind).length
    const heapMiB = process.memoryUsage().heapUsed / 1024 / 1024
    const [timers, sockets, standstillMs] = [count('Timeout'), count('TCPSocketWrap'), standstill.ms()]
    const held: Held = { heapMiB, timers, sockets, standstillMs }
    process.stdout.write(`${JSON.stringify({ message: 'probe', ...held })}\n`)
  })
}
