import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { withDeadline } from '../deadline.ts'
import { type Ask, type Client, type ClientName, nothingSeen, type Seen } from './ask.ts'

const folder = join(import.meta.dirname, 'python')
/** Loading litellm is five seconds of processor. */
const startMs = 180_000
const answerMs = 60_000

/**
 * Starts one of the programs beside this file, in a process that can reach nothing but loopback; `python` is an interpreter
 * that has the client's package.
 */
export async function startPythonClient(name: ClientName, program: string, python: string): Promise<Client> {
  const env = { PATH: process.env['PATH'], PYTHONPATH: `${join(folder, 'guard')}:${folder}`, LANG: 'C.UTF-8' }
  const child = spawn(python, [join(folder, program)], { env, stdio: ['pipe', 'pipe', 'pipe'] })
  const onExit = (): void => void child.kill('SIGKILL')
  process.once('exit', onExit)
  const closed = once(child, 'close')
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const ready = Promise.withResolvers<void>()
  const waiting = new Map<number, (seen: Seen) => void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const told: { ready?: true; id: number; seen: Partial<Seen> } = JSON.parse(line)
    if (told.ready) return ready.resolve()
    waiting.get(told.id)?.({ ...nothingSeen, ...told.seen })
    waiting.delete(told.id)
  })
  const say = (told: object): void => void child.stdin.write(`${JSON.stringify(told)}\n`)
  const early = closed.then(([code]) => {
    throw new Error(`${program} ended with ${code}: ${errors}`)
  })
  early.catch(() => {})
  await withDeadline(Promise.race([ready.promise, early]), startMs, `${program} is ready`).catch((error: unknown) => {
    child.kill('SIGKILL')
    throw error
  })
  let asked = 0
  return {
    name,
    ask: async (ask: Ask, leave: AbortSignal) => {
      asked += 1
      const id = asked
      const { promise, resolve } = Promise.withResolvers<Seen>()
      waiting.set(id, resolve)
      leave.addEventListener('abort', () => say({ id, leave: true }), { once: true })
      say({ id, ask })
      return await withDeadline(Promise.race([promise, early]), answerMs, `${program} says what it saw`)
    },
    refused: () => errors.split('\n').filter((line) => line.startsWith('guard refused ')),
    [Symbol.asyncDispose]: async () => {
      child.stdin.end()
      await withDeadline(closed, answerMs, `${program} ends`)
      process.off('exit', onExit)
    },
  }
}
