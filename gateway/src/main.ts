import { randomUUID } from 'node:crypto'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { setDefaultHighWaterMark } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { createAdmin } from './admin.ts'
import { Admission } from './admission.ts'
import { createApp, createProbes, registerGauges } from './app.ts'
import { BodyBudget } from './body/budget.ts'
import { type Address, type Config, ConfigError, findRisks, loadConfig } from './config.ts'
import { Connections } from './edge/connections.ts'
import { openTo } from './edge/cors.ts'
import { openFrontDoor, refuseOdd } from './edge/front-door.ts'
import { InFlight } from './edge/lifecycle.ts'
import { type Keyring, openKeyring } from './keys/keyring.ts'
import { KeysFileError } from './keys/keys-file.ts'
import { openLog } from './log/stdout.ts'
import type { Log } from './log.ts'
import { MeshStatus } from './mesh/status.ts'
import { Catalog } from './metrics/catalog.ts'
import { registerProcess } from './metrics/process.ts'
import { createMeters } from './metrics.ts'
import { unsafeNode } from './node-floor.ts'
import { createEngines, type Engines } from './routing/engines.ts'

const exitConfig = 3
const keysEveryMs = 2_000
/** Between the cut of the last requests and the exit: enough for their last words to leave. */
const lastWordsMs = 700

/** What a socket reads ahead or holds unsent before it asks to wait; Node's own 64 KiB are held by each slow caller twice. */
const socketBytes = 16 * 1024

interface Running {
  readonly server: Server
  readonly admin: Server
  readonly status: MeshStatus
  readonly engines: Engines
  readonly admission: Admission
  readonly keyring: Keyring
  readonly inFlight: InFlight
  readonly log: Log
  /** Goes over to the form of the log that is loaded late. */
  readonly settleLog: () => Promise<void>
  readonly drainMs: number
}

function main(): void {
  const problem = process.env['NODE_ENV'] === 'production' ? unsafeNode(process.version) : undefined
  const allowed = process.env['HEARTH_ALLOW_UNSAFE_NODE'] === '1'
  if (problem !== undefined)
    openLog({ log: 'json', googleProject: undefined }).log('ERROR', 'unsafe node', { problem, allowed })
  if (problem !== undefined && !allowed) {
    process.exitCode = exitConfig
    return
  }
  try {
    listen(start(loadConfig(process.env)))
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof KeysFileError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = exitConfig
  }
}

function start(config: Config): Running & { config: Config } {
  setDefaultHighWaterMark(false, socketBytes)
  const { log, settle: settleLog } = openLog(config)
  const keyring = openKeyring({
    path: config.keysFile,
    everyMs: keysEveryMs,
    onChange: ({ keys, problem }) =>
      problem === undefined
        ? log('NOTICE', 'keys reloaded', { keys })
        : log('ERROR', 'keys file is bad, the last good one stays', { problem, keys }),
  })
  const inFlight = new InFlight()
  const answeredAtDoor = new WeakSet<ServerResponse>()
  const now = () => performance.now()
  const catalog = new Catalog()
  const meters = createMeters(catalog)
  const status = new MeshStatus({ url: config.meshStatusUrl, now })
  const engines = createEngines(config, { status, meters, now })
  const limits = { queueMax: config.limits.queueMax, queueMs: config.timeouts.queueMs }
  const admission = new Admission(config.engines, limits)
  const { bodyBytesInFlight, bodyBytesPerKey, connectionsMax } = config.limits
  const budget = new BodyBudget({ bytesMax: bodyBytesInFlight, bytesPerHolderMax: bodyBytesPerKey })
  const connections = new Connections({ connectionsMax, meters, log, now })
  const probes = createProbes(config, engines, now)
  const app = createApp({
    config,
    keyring,
    engines,
    probes,
    admission,
    budget,
    inFlight,
    answeredAtDoor,
    status,
    meters,
    log,
    now,
    wallMs: () => Date.now(),
  })
  const server = createServer({
    // The four 300 s defaults of the chain are all replaced: bodies have their own clocks (body/read.ts).
    requestTimeout: 0,
    headersTimeout: config.timeouts.headMs,
    connectionsCheckingInterval: Math.min(250, Math.ceil(config.timeouts.headMs / 4)),
    keepAliveTimeout: 65_000,
    noDelay: true,
    // Judged by the front door, which answers in the one error shape.
    requireHostHeader: false,
  })
  // Without a limit Node drops nothing silently: the front door counts, and 16 KiB bound the head.
  server.maxHeadersCount = 0
  const door = { log, meters, newId: randomUUID, openTo: openTo(config.cors.origins), answeredAtDoor }
  const errorHandler = (error: unknown) => refuseOdd(error, door)
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false, hostname: 'localhost', errorHandler })
  openFrontDoor(server, listener, door)
  connections.watch(server)
  registerGauges(catalog, { admission, engines, probes, budget, inFlight, now, connections })
  registerProcess(catalog)
  for (const risk of findRisks(config)) log('WARNING', 'config', { problem: risk })
  log('INFO', 'limits', { bodyBytesInFlight, bodyBytesPerKey, connectionsMax })
  const admin = createAdmin(catalog)
  const { drainMs } = config.timeouts
  return { server, admin, status, engines, admission, keyring, inFlight, log, settleLog, drainMs, config }
}

function listen(running: Running & { config: Config }): void {
  const { server, admin, log, config } = running
  if (config.admin !== undefined) listenAdmin(admin, config.admin, log)
  server.on('error', (error) => {
    log('CRITICAL', 'cannot listen', { host: config.host, port: config.port, problem: error.message })
    process.exit(1)
  })
  server.listen(config.port, config.host, () => {
    const address = server.address()
    log('NOTICE', 'listening', { host: config.host, port: typeof address === 'object' ? address?.port : config.port })
    void running.settleLog()
  })
  let stopping = false
  const onSignal = (signal: string) => {
    if (stopping) return
    stopping = true
    stop(running, signal).then(leave, (error: unknown) => {
      log('CRITICAL', 'stop failed', { problem: String(error) })
      process.exit(1)
    })
  }
  process.on('SIGTERM', () => onSignal('SIGTERM'))
  process.on('SIGINT', () => onSignal('SIGINT'))
}

function listenAdmin(admin: Server, { host, port }: Address, log: Log): void {
  admin.on('error', (error) => {
    const fix = 'choose another with HEARTH_ADMIN_ADDR, or off'
    log('CRITICAL', 'cannot listen for the admin', { host, port, problem: error.message, fix })
    process.exit(1)
  })
  admin.listen(port, host, () => {
    const address = admin.address()
    log('INFO', 'admin listening', { host, port: typeof address === 'object' ? address?.port : port })
  })
}

/** Refuses new work at once, lets what runs finish until the deadline, cuts the rest with a reason, closes all. */
async function stop(
  { server, admin, status, engines, admission, keyring, inFlight, log, drainMs }: Running,
  signal: string,
): Promise<void> {
  log('NOTICE', 'draining', { signal, requests: inFlight.size })
  const backstop = setTimeout(() => process.exit(0), drainMs + 2 * lastWordsMs)
  await inFlight.drain(drainMs)
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeIdleConnections()
  const lastWords = setTimeout(() => server.closeAllConnections(), lastWordsMs)
  await closed
  clearTimeout(lastWords)
  keyring.close()
  status.close()
  admin.close()
  admin.closeAllConnections()
  await engines.close()
  clearTimeout(backstop)
  // Destroyed sockets are handed back to the system on the next turns of the loop.
  for (let turn = 0; turn < 10 && openSockets() > 0; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  const sockets = openSockets()
  log('NOTICE', 'stopped', { leases: admission.inFlight, sockets, requests: inFlight.size })
}

/** Ends the process when its last words are read: what a slow reader of the log has not taken by then is lost. */
function leave(): void {
  setTimeout(() => process.exit(0), lastWordsMs)
  // A turn later, when the lines of this one are written.
  setImmediate(() => process.stdout.write('', () => process.exit(0)))
}

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length
}

main()
