import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { startChain } from '../dev/chain.ts'
import { ingressHost, meshUpstream } from '../dev/chain-config.ts'
import { connectMesh } from '../src/mesh/connect.ts'
import { peakMiB, residentMiB } from '../test/chain-fixture.ts'
import { spawnEngine } from '../test/fake-control.ts'

const help = `npm run hops [-- --rounds N] [--json]

What each hop of the chain adds to one small keep-alive request, on loopback, with the scripted engine at the end.
The roads take turns, so that noise of the machine hits all alike.
`
const model = 'qwen2.5-vl-tiny'
const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hi.' }], max_tokens: 1 })

interface Road {
  readonly name: string
  readonly pool: Pool
  readonly headers: Readonly<Record<string, string>>
  readonly ms: number[]
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '200' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const rounds = Number(values.rounds)
  if (values.help || !Number.isInteger(rounds) || rounds < 1) {
    process.stdout.write(help)
    process.exitCode = values.help ? 0 : 2
    return
  }
  const stateDir = mkdtempSync(join(tmpdir(), 'hearth-hops-'))
  await using engine = await spawnEngine()
  const end = { from: 'address', url: engine.url, kind: 'vllm', capacity: 64, models: [{ id: model }] } as const
  const chain = await startChain({ road: 'mesh', engine: end, stateDir, port: 0, supervise: false })
  const { ports } = chain
  const through = (port: number, headers = {}) => ({ pool: new Pool(`http://127.0.0.1:${port}`), headers, ms: [] })
  const roads: Road[] = [
    { name: 'engine', ...through(engine.port) },
    { name: 'Traefik → engine', ...through(ports.ingress, { host: ingressHost }) },
    { name: 'meshlink → WireGuard → Traefik → engine', pool: meshPool(ports.mesh), headers: {}, ms: [] },
    { name: 'gateway → … (the whole chain)', ...through(ports.gateway, { authorization: `Bearer ${chain.key}` }) },
  ]
  try {
    for (let round = -20; round < rounds; round += 1) for (const road of roads) await measure(road, round >= 0)
    const pids = [...chain.processes].map(([name, process]) => [name, process.pid() ?? 0] as const)
    report(roads, pids, values.json)
  } finally {
    await Promise.all(roads.map(({ pool }) => pool.destroy()))
    await chain.stop()
    rmSync(stateDir, { recursive: true, force: true })
  }
}

function meshPool(port: number): Pool {
  const dial = { sidecar: { host: '127.0.0.1', port }, upstream: meshUpstream, timeoutMs: 10_000 }
  return new Pool(`http://${ingressHost}`, { connect: (_options, callback) => connectMesh(dial, callback) })
}

async function measure({ pool, headers, ms }: Road, counts: boolean): Promise<void> {
  const startedAt = performance.now()
  const answer = await pool.request({
    path: '/v1/chat/completions',
    method: 'POST',
    headers: { 'content-type': 'application/json', 'accept-encoding': 'identity', ...headers },
    body,
  })
  const text = await answer.body.text()
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode}: ${text}`)
  if (counts) ms.push(performance.now() - startedAt)
}

function report(roads: readonly Road[], pids: readonly (readonly [string, number])[], json: boolean): void {
  const hops = roads.map(({ name, ms }) => ({
    name,
    p50: quantile(ms, 0.5),
    p99: quantile(ms, 0.99),
    count: ms.length,
  }))
  const memory = pids.map(([name, pid]) => ({ name, rssMiB: residentMiB(pid), peakMiB: peakMiB(pid) }))
  if (json) {
    process.stdout.write(`${JSON.stringify({ hops, memory })}\n`)
    return
  }
  let before = 0
  for (const { name, p50, p99, count } of hops) {
    const added = before === 0 ? '' : `, ${(p50 - before).toFixed(2)} more than the line above`
    process.stdout.write(
      `${name.padEnd(42)} p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms over ${count}${added}\n`,
    )
    before = p50
  }
  for (const { name, rssMiB, peakMiB } of memory) {
    process.stdout.write(`${name.padEnd(42)} RSS ${rssMiB.toFixed(0)} MiB, peak ${peakMiB.toFixed(0)} MiB\n`)
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

await main()
