import { strictEqual } from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { withDeadline } from './deadline.ts'
import { keepLogs } from './kept-logs.ts'
import { swapArgs, swapVariable } from './mutation/swap.ts'

/** One line of the gateway's log. */
export type LogRecord = Readonly<Record<string, unknown>>

export interface GatewayOptions {
  /** Text of `hearth.yaml`, or its value (JSON is YAML). */
  config: string | object
  /** The keys to make, each as `keys create` takes it: a name, then flags. Default one, `test`. */
  keys?: readonly string[]
  /** Put into the records of the keys file by the name of the key: what `keys create` does not take, such as short times. */
  keySettings?: Readonly<Record<string, object>>
  /** Added to a clean environment; undefined takes one out. */
  env?: Readonly<Record<string, string | undefined>>
  /** Default `HEARTH_TEST_ENTRY`, else `gateway/src/main.ts`. */
  entry?: string
  /** A command that starts the gateway as its last arguments, such as one that lowers a limit first. */
  wrapper?: readonly string[]
  /** Default `HEARTH_TEST_CLI`, else `gateway/src/cli/main.ts`. */
  cli?: string
  readyMs?: number
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** From the signal to the exit. */
  readonly ms: number
}

/** A gateway in a child process with its own folder; whoever starts it ends it with `assertNothingLeft`. */
export interface Gateway extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** The first key. */
  readonly key: string
  /** All keys by name. */
  readonly keys: Readonly<Record<string, string>>
  readonly folder: string
  readonly keysFile: string
  readonly configFile: string
  readonly child: ChildProcess
  /** Everything logged so far, parsed; lines that are no JSON come as `{ text }`. */
  logs(): readonly LogRecord[]
  stderr(): string
  /** Resolves with the first record that fits, past ones too. */
  waitForLog(fits: (record: LogRecord) => boolean, label: string, timeoutMs?: number): Promise<LogRecord>
  /** SIGTERM; how and after how long it ended. A second call answers the same. */
  stop(timeoutMs?: number): Promise<Exit>
  /** SIGKILL. */
  kill(): Promise<Exit>
}

/** What `assertNothingLeft` asks of an engine. */
export interface Emptied {
  waitFor(predicate: (counts: { socketsOpen: number; running: number }) => boolean, label: string): Promise<void>
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const READY_MS = 15_000
const STOP_MS = 12_000
const KEY_MS = 10_000
const KEPT_ENV = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_ALL', 'NODE_EXTRA_CA_CERTS', 'NODE_V8_COVERAGE']

/** Starts a gateway on a free port with fresh keys; resolves once it says `listening`. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const folder = await mkdtemp(join(tmpdir(), 'hearth-gateway-'))
  try {
    return await startIn(folder, options)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** Makes a key with the product's own CLI and returns its secret form. `words` is the name, then flags. */
export async function createKey(words: string, keysFile: string, cli?: string): Promise<string> {
  const entry = cli ?? process.env['HEARTH_TEST_CLI'] ?? join(ROOT, 'gateway/src/cli/main.ts')
  const made = promisify(execFile)(process.execPath, [entry, 'keys', 'create', ...words.split(' '), '--json'], {
    env: cleanEnv({ HEARTH_KEYS_FILE: keysFile }),
    cwd: ROOT,
    timeout: KEY_MS,
  })
  const { stdout } = await made
  const { key } = JSON.parse(stdout) as { key?: unknown }
  if (typeof key !== 'string') throw new Error(`keys create ${words} --json printed no key: ${stdout}`)
  return key
}

/**
 * Ends the gateway in order where it still runs, and proves that it left nothing: exit 0, no lease and no socket in its
 * last record, no socket and nothing running at the engines, its folder gone.
 */
export async function assertNothingLeft(gateway: Gateway, ...engines: Emptied[]): Promise<void> {
  const exit = await gateway.stop()
  await gateway[Symbol.asyncDispose]()
  strictEqual(exit.code, 0, `the gateway ended with code ${exit.code}, signal ${exit.signal}: ${gateway.stderr()}`)
  const last = gateway.logs().findLast((record) => record['message'] === 'stopped')
  strictEqual(last?.['leases'], 0, `leases in the last record ${JSON.stringify(last)}`)
  strictEqual(last?.['sockets'], 0, `sockets in the last record ${JSON.stringify(last)}`)
  for (const engine of engines) {
    await engine.waitFor(
      ({ socketsOpen, running }) => socketsOpen === 0 && running === 0,
      'the engine has no socket open and nothing running after the gateway has ended',
    )
  }
  strictEqual(existsSync(gateway.folder), false, `${gateway.folder} is still there`)
}

async function startIn(folder: string, options: GatewayOptions): Promise<Gateway> {
  const configFile = join(folder, 'hearth.yaml')
  const keysFile = join(folder, 'keys.json')
  const { config } = options
  await writeFile(configFile, typeof config === 'string' ? config : JSON.stringify(config, null, 2))
  const keys: Record<string, string> = {}
  for (const words of options.keys ?? ['test'])
    keys[words.split(' ')[0] ?? ''] = await createKey(words, keysFile, options.cli)
  await addSettings(keysFile, options.keySettings ?? {})
  const entry = options.entry ?? process.env['HEARTH_TEST_ENTRY'] ?? join(ROOT, 'gateway/src/main.ts')
  const env = cleanEnv({
    PORT: '0',
    HEARTH_CONFIG: configFile,
    HEARTH_KEYS_FILE: keysFile,
    HEARTH_LOG: 'json',
    HEARTH_ADMIN_ADDR: '127.0.0.1:0',
    HEARTH_MESH_STATUS_URL: 'off',
    [swapVariable]: process.env[swapVariable],
    ...options.env,
  })
  const [program = process.execPath, ...args] = [...(options.wrapper ?? []), process.execPath, ...swapArgs(), entry]
  const child = spawn(program, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
  if (options.entry === undefined) keepLogs(child, env, Object.values(keys))
  const output = readOutput(child)
  const ending = watchEnd(child)
  try {
    const port = await listeningPort(output, ending.exited, options.readyMs ?? READY_MS)
    const dispose = async (): Promise<void> => {
      await ending.kill()
      await rm(folder, { recursive: true, force: true })
    }
    return {
      url: `http://127.0.0.1:${port}`,
      port,
      pid: child.pid ?? 0,
      key: Object.values(keys)[0] ?? '',
      keys,
      folder,
      keysFile,
      configFile,
      child,
      ...output,
      stop: ending.stop,
      kill: ending.kill,
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await ending.kill()
    throw new Error(`the gateway (${entry}) did not start: ${String(error)}\n${output.text()}`)
  }
}

async function addSettings(keysFile: string, settings: Readonly<Record<string, object>>): Promise<void> {
  if (Object.keys(settings).length === 0) return
  const file: { keys: { name: string }[] } = JSON.parse(await readFile(keysFile, 'utf8'))
  const keys = file.keys.map((key) => ({ ...key, ...settings[key.name] }))
  await writeFile(keysFile, JSON.stringify({ ...file, keys }))
}

/** Ends the child with this process, however this one ends. */
function watchEnd(child: ChildProcess) {
  const onExit = (): void => void child.kill('SIGKILL')
  process.once('exit', onExit)
  let signalledMs = performance.now()
  let ms = 0
  child.once('exit', () => {
    ms = performance.now() - signalledMs
    process.off('exit', onExit)
  })
  // 'close' and not 'exit': the last log lines are read by then.
  const exited = once(child, 'close').then(([code, signal]): Exit => ({ code, signal, ms }))
  const end = async (signal: NodeJS.Signals, timeoutMs: number): Promise<Exit> => {
    if (child.exitCode === null && child.signalCode === null) {
      signalledMs = performance.now()
      child.kill(signal)
    }
    return await withDeadline(exited, timeoutMs, `the gateway ends after ${signal}`)
  }
  return {
    exited,
    stop: (timeoutMs = STOP_MS) => end('SIGTERM', timeoutMs),
    kill: () => end('SIGKILL', STOP_MS),
  }
}

function readOutput(child: ChildProcess) {
  const records: LogRecord[] = []
  const watchers = new Set<(record: LogRecord) => void>()
  let errors = ''
  if (child.stdout === null || child.stderr === null) throw new Error('the gateway needs pipes for stdout and stderr')
  createInterface({ input: child.stdout }).on('line', (line) => {
    const record = parseRecord(line)
    records.push(record)
    for (const watch of watchers) watch(record)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const firstRecord = (fits: (record: LogRecord) => boolean): Promise<LogRecord> => {
    const { promise, resolve } = Promise.withResolvers<LogRecord>()
    const watch = (record: LogRecord): void => {
      if (!fits(record)) return
      watchers.delete(watch)
      resolve(record)
    }
    watchers.add(watch)
    for (const record of records) watch(record)
    return promise
  }
  const waitForLog: Gateway['waitForLog'] = (fits, label, timeoutMs = 5000) =>
    withDeadline(firstRecord(fits), timeoutMs, label)
  const text = (): string => `${records.map((record) => JSON.stringify(record)).join('\n')}\n${errors}`
  return { logs: () => records, stderr: () => errors, firstRecord, waitForLog, text }
}

async function listeningPort(
  output: ReturnType<typeof readOutput>,
  exited: Promise<Exit>,
  readyMs: number,
): Promise<number> {
  const early = exited.then((exit) => {
    throw new Error(`it ended with code ${exit.code}, signal ${exit.signal} before it listened`)
  })
  const listening = output.firstRecord((record) => record['message'] === 'listening' || prettyPort.test(textOf(record)))
  const record = await withDeadline(Promise.race([listening, early]), readyMs, 'it says "listening"')
  const port = record['port'] ?? Number(prettyPort.exec(textOf(record))?.[1])
  if (typeof port !== 'number') throw new Error(`its "listening" record has no port: ${JSON.stringify(record)}`)
  return port
}

/** What a gateway with a log for people says when it listens. */
const prettyPort = / NOTICE +listening .*\bport=(\d+)/

function textOf({ text }: LogRecord): string {
  return typeof text === 'string' ? text : ''
}

function parseRecord(line: string): LogRecord {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as LogRecord) : { text: line }
  } catch {
    return { text: line }
  }
}

/** The few variables that a child needs, so that a developer's own settings change no test. */
function cleanEnv(extra: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = KEPT_ENV.map((name): [string, string | undefined] => [name, process.env[name]])
  const all = [...kept, ...Object.entries(extra)]
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined))
}
