import { join } from 'node:path'
import { type Chain, type ChainEngine, type Hop, startChain } from './chain.ts'
import { readParts, repositoryRoot, requirePart } from './parts.ts'
import { BusyPortError, requireFreePort } from './ports.ts'
import { StartError } from './process.ts'
import { ClaimError } from './state-claim.ts'
import { catchStop } from './stop-signal.ts'
import { readUpOptions, type UpOptions, upHelp } from './up-options.ts'
import { describeYourEngine, describeYourModel, UsageError } from './your-engine.ts'

const smallModel = { id: 'smollm2-135m-instruct', context: 2048, slots: 8 }
/** Together with the stops after it, below the 10 s in which everything must be gone. */
const gatewayStopTimeoutMs = 6_000
const drainMs = 4_000

/** `npm start`: brings the chain up, says how to use it, and keeps it running until it is told to stop. */
async function main(): Promise<number> {
  const options = readUpOptions(process.argv.slice(2), process.env['INIT_CWD'] ?? process.cwd())
  if (options.help) {
    process.stdout.write(upHelp)
    return 0
  }
  const stop = catchStop()
  const startedAt = performance.now()
  try {
    const hops: Hop[] = []
    const chain = await start(options, stop.signal, (hop) => hops.push(hop))
    announce({ chain, hops, options, ms: Math.round(performance.now() - startedAt) })
    await stop.asked
    say('\nStopping …')
    await chain.stop()
    say('Everything has stopped.')
    return 0
  } catch (error) {
    if (stop.signal.aborted) return 0
    throw error
  } finally {
    stop.release()
  }
}

async function start(options: UpOptions, signal: AbortSignal, onHop: (hop: Hop) => void): Promise<Chain> {
  if (options.port > 0) await requireFreePort(options.port, 'the API', 'npm start -- --port N')
  if (options.pagePort > 0) await requireFreePort(options.pagePort, 'the page', 'npm start -- --page-port N')
  const engine = await chooseEngine(options)
  say(options.direct ? 'page → gateway → engine' : 'page → gateway → sidecar → tailnet → ingress → engine')
  return await startChain({
    road: options.direct ? 'direct' : 'mesh',
    engine,
    stateDir: join(repositoryRoot, '.hearth'),
    port: options.port,
    pagePort: options.pagePort,
    supervise: true,
    gatewayConfig: { timeouts: { drainMs } },
    gatewayStopTimeoutMs,
    keyName: 'npm-start',
    signal,
    onHop: (hop) => {
      onHop(hop)
      showHop(hop)
    },
    onNews: (news) => say(`! ${news.text}`),
  })
}

async function chooseEngine({ engine, model, mmproj }: UpOptions): Promise<ChainEngine> {
  if (engine !== undefined) return await describeYourEngine(engine, process.env['HEARTH_ENGINE_API_KEY']?.trim())
  if (model !== undefined) return { from: 'embedded', model: describeYourModel(model, mmproj) }
  return { from: 'embedded', model: { ...smallModel, file: requirePart(readParts(), 'model') } }
}

function showHop({ name, what, ms }: Hop): void {
  say(`✓ ${name.padEnd(9)} ${what.padEnd(44)} ${String(ms).padStart(6)} ms`)
}

interface Announcement {
  readonly chain: Chain
  readonly hops: readonly Hop[]
  readonly options: UpOptions
  readonly ms: number
}

function announce({ chain, hops, options, ms }: Announcement): void {
  const model = chain.models[0]?.id ?? ''
  const api = `${chain.gatewayUrl}/v1`
  const curl = writeCurl(api, chain.key, model)
  if (options.json) {
    const pids = Object.fromEntries([...chain.processes].map(([name, { pid }]) => [name, pid()]))
    const times = { ...Object.fromEntries(hops.map((hop) => [hop.name, hop.ms])), ready: ms }
    const ready = { page: chain.pageUrl, api, key: chain.key, curl, model, pids, ms: times }
    process.stdout.write(`${JSON.stringify(ready)}\n`)
    return
  }
  process.stdout.write(`
Ready after ${(ms / 1000).toFixed(1)} s.

  Page   ${chain.pageUrl}
  API    ${api}
  Key    ${chain.key}

Ask it something:

  ${curl}

Ctrl-C stops everything. Logs are in .hearth/logs.
`)
}

/** One line for a shell that streams a sentence. */
function writeCurl(api: string, key: string, model: string): string {
  const body = JSON.stringify({
    model,
    stream: true,
    temperature: 0,
    max_tokens: 64,
    messages: [{ role: 'user', content: 'Write one sentence about the sea.' }],
  })
  const headers = `-H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json'`
  return `curl -sSN --fail-with-body ${api}/chat/completions ${headers} -d '${body}'`
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

function report(error: unknown): number {
  if (error instanceof UsageError) {
    say(`hearth: ${error.message}\nnpm start -- --help lists the flags.`)
    return 2
  }
  const known = [StartError, BusyPortError, ClaimError].some((kind) => error instanceof kind)
  say(`hearth: ${error instanceof Error ? (known ? error.message : (error.stack ?? error.message)) : String(error)}`)
  return 1
}

process.exitCode = await main().catch(report)
