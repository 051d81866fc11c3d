import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { waitUntil, withDeadline } from './deadline.ts'
import { dialects, isDialect } from './fake-dialects.ts'
import type { EngineOptions, FakeEngine } from './fake-engine.ts'
import type { Behaviour } from './fake-faults.ts'
import type { Counts, Received } from './fake-ledger.ts'

/** What `POST /__control` on the control port takes; the answer is JSON. */
export type ControlCommand =
  | { do: 'script'; behaviours: Behaviour[] }
  | { do: 'default'; behaviour: Behaviour }
  | { do: 'release' | 'reset' | 'counts' | 'requests' | 'stop' }

/** A scripted engine in a process of its own, so that it can be killed for real. */
export interface EngineProcess extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly controlPort: number
  readonly pid: number
  script(...behaviours: Behaviour[]): Promise<void>
  setDefault(behaviour: Behaviour): Promise<void>
  release(): Promise<void>
  reset(): Promise<void>
  counts(): Promise<Counts>
  requests(): Promise<Received[]>
  waitFor(predicate: (counts: Counts) => boolean, label: string, timeoutMs?: number): Promise<void>
  /** SIGKILL unless told (SIGSTOP and SIGCONT too); resolves when the process is gone, at once after a stop or go on. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** SIGTERM, and the process is gone; nothing where it already is. */
  close(): Promise<void>
}

const START_MS = 10_000
const STOP_MS = 5000

/** Starts `fake-engine.ts` as a child that ends with its parent; whoever starts it closes it. */
export async function spawnEngine(options: Omit<EngineOptions, 'onExit'> = {}): Promise<EngineProcess> {
  const file = new URL('fake-engine.ts', import.meta.url).pathname
  const args = ['--options', JSON.stringify(options), '--exit-with-parent']
  const child = spawn(process.execPath, [file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit').then(() => {})
  const ready = await withDeadline(readyLine(child), START_MS, 'the scripted engine says that it is ready')
  const ask = (command: ControlCommand): Promise<unknown> => sendCommand(ready.controlPort, command)
  const counts = async (): Promise<Counts> => (await ask({ do: 'counts' })) as Counts
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    child.kill(signal)
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await withDeadline(exited, STOP_MS, `${signal} ends the engine`)
  }
  const close = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGCONT')
    await kill('SIGTERM')
  }
  return {
    ...ready,
    script: async (...behaviours) => void (await ask({ do: 'script', behaviours })),
    setDefault: async (behaviour) => void (await ask({ do: 'default', behaviour })),
    release: async () => void (await ask({ do: 'release' })),
    reset: async () => void (await ask({ do: 'reset' })),
    counts,
    requests: async () => (await ask({ do: 'requests' })) as Received[],
    waitFor: async (predicate, label, timeoutMs = 5000) => {
      await waitUntil(async () => predicate(await counts()), timeoutMs, label)
    },
    kill,
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** The body of `node fake-engine.ts …`: prints one ready line, serves until SIGTERM. */
export async function runAsProcess(
  args: string[],
  start: (options: EngineOptions) => Promise<FakeEngine>,
): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      port: { type: 'string' },
      'control-port': { type: 'string', default: '0' },
      models: { type: 'string' },
      context: { type: 'string' },
      dialect: { type: 'string' },
      options: { type: 'string', default: '{}' },
      'exit-with-parent': { type: 'boolean', default: false },
    },
  })
  const options: EngineOptions = { ...(JSON.parse(values.options) as EngineOptions), onExit: () => process.exit(1) }
  if (values.port !== undefined) options.port = Number(values.port)
  if (values.models !== undefined) options.models = values.models.split(',')
  if (values.context !== undefined) options.contextTokens = Number(values.context)
  if (values.dialect !== undefined) {
    if (!isDialect(values.dialect)) throw new Error(`no dialect "${values.dialect}"; there are ${dialects.join(', ')}`)
    options.dialect = values.dialect
  }
  const engine = await start(options)
  const stop = (): void => process.exit(0)
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  if (values['exit-with-parent']) process.stdin.once('end', stop).resume()
  const controlPort = await openControl(engine, Number(values['control-port']), stop)
  const { url, port } = engine
  console.log(JSON.stringify({ ready: true, url, port, controlPort, pid: process.pid }))
}

async function openControl(engine: FakeEngine, port: number, stop: () => void): Promise<number> {
  const server = createServer((request, response) => {
    const answer = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
      response.end(JSON.stringify(value ?? null))
    }
    if (request.method !== 'POST' || request.url !== '/__control') {
      return answer(404, { error: `no ${request.method} ${request.url} here; send POST /__control` })
    }
    text(request)
      .then((body) => answer(200, obey(engine, JSON.parse(body) as ControlCommand, stop)))
      .catch((error: unknown) => answer(400, { error: String(error) }))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

function obey(engine: FakeEngine, command: ControlCommand, stop: () => void): unknown {
  switch (command.do) {
    case 'script':
      return engine.script(...command.behaviours)
    case 'default':
      return engine.setDefault(command.behaviour)
    case 'release':
      return engine.release()
    case 'reset':
      return engine.reset()
    case 'counts':
      return engine.counts()
    case 'requests':
      return engine.requests
    case 'stop':
      return stop()
    default:
      throw new Error(
        `unknown command ${JSON.stringify(command)}; script, default, release, reset, counts, requests, stop`,
      )
  }
}

async function sendCommand(port: number, command: ControlCommand): Promise<unknown> {
  const body = JSON.stringify(command)
  const response = await fetch(`http://127.0.0.1:${port}/__control`, { method: 'POST', body })
  const value: unknown = await response.json()
  if (!response.ok) throw new Error(`the engine's control answered ${response.status}: ${JSON.stringify(value)}`)
  return value
}

interface Ready {
  url: string
  port: number
  controlPort: number
  pid: number
}

async function readyLine(child: ChildProcess): Promise<Ready> {
  if (child.stdout === null) throw new Error('the engine has no stdout; spawn it with a pipe')
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('{"ready":true')) return JSON.parse(line) as Ready
  }
  throw new Error('the scripted engine ended before it was ready; its message is on stderr')
}
