import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { root, type Swap, swapEnv, swapHook } from './swap.ts'

/** How a child ended: `late` when it was killed because its time was over. */
export interface Ended {
  readonly code: number | null
  readonly late: boolean
  readonly ms: number
  readonly output: string
}

const outputCharsMax = 20_000
/** A mutant that collects without an end is stopped by this, and not by the machine. */
const heapMegabytes = 512

/** Runs Node on a file in a child that reads the swap, to its end or to `timeoutMs`. */
export function runChild(args: readonly string[], swap: Swap | undefined, timeoutMs: number): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>()
  const startedAt = performance.now()
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${heapMegabytes}`, '--import', swapHook, ...args],
    // A group of its own: what the child started ends with it.
    { cwd: fileURLToPath(root), env: swapEnv(swap), stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  )
  let output = ''
  let late = false
  const keep = (text: string) => {
    output = (output + text).slice(-outputCharsMax)
  }
  child.stdout.setEncoding('utf8').on('data', keep)
  child.stderr.setEncoding('utf8').on('data', keep)
  const killAll = () => endGroup(child.pid)
  const timer = setTimeout(() => {
    late = true
    killAll()
  }, timeoutMs)
  process.once('exit', killAll)
  child.on('error', reject)
  child.on('exit', (code) => {
    clearTimeout(timer)
    process.off('exit', killAll)
    killAll()
    resolve({ code, late, ms: performance.now() - startedAt, output })
  })
  return promise
}

/** Does `work` for every item, `parallel` of them at a time; results in the order of the items. */
export async function eachOf<T, R>(items: readonly T[], parallel: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const queue = items.entries()
  const worker = async () => {
    for (const [at, item] of queue) results[at] = await work(item)
  }
  await Promise.all(Array.from({ length: parallel }, worker))
  return results
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nothing of the group is left.
  }
}
