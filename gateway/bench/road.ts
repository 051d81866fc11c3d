import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { openLeash } from '../dev/leash.ts'
import { peakMiB, residentMiB } from '../test/chain-fixture.ts'
import { withDeadline } from '../test/deadline.ts'
import { headOf } from './far-end.ts'
import { cpuSeconds, type RoadTailnet, startRoad } from './road-tailnet.ts'

const help = `npm run road [-- --rounds N] [--mib N] [--starts N] [--json]

What the road home costs, without HTTP: plain loopback, the tailnet's direct path and its relay (DERP), side by side in one
run on this machine. Latency of a kept tunnel, opening one, bytes both ways with the processor time they take, memory of the
sidecar by size of upload, start to ready, SIGTERM to exit.
`
const mib = 1024 * 1024
const stepMs = 300_000
const uploadsMib = [16, 64, 256, 1024]

/** One of the roads under comparison; `tailnet` is absent for plain loopback. */
interface Arm {
  readonly name: string
  readonly tailnet?: RoadTailnet
  open(): Promise<Socket>
}

type Row = Readonly<Record<string, string | number>>

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '1000' },
      mib: { type: 'string', default: '256' },
      starts: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const [rounds, size, starts] = [values.rounds, values.mib, values.starts].map(Number)
  if (values.help || !isCount(rounds) || !isCount(size) || !isCount(starts)) {
    process.stdout.write(help)
    process.exitCode = values.help ? 0 : 2
    return
  }
  const report = (title: string, rows: readonly Row[]) => print(title, rows, values.json)
  await withRoads(async (arms, direct) => {
    report('One round trip of 64 bytes on a kept tunnel, ms', await measureLatency(arms, rounds))
    report('Opening a tunnel, ms', await measureOpening(arms, Math.min(rounds, 200)))
    report(`${size} MiB one way`, await measureTransfers(arms, size))
    report('Memory of the sidecar, direct path', await measureMemory(direct))
    report('Life of a sidecar, ms', await measureLife(direct, starts))
  })
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value > 0
}

async function withRoads(work: (arms: readonly Arm[], direct: RoadTailnet) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'hearth-road-'))
  const leash = openLeash()
  const farEnd = new Worker(new URL('./far-end.ts', import.meta.url))
  const roads: RoadTailnet[] = []
  try {
    const [farPort]: unknown[] = await once(farEnd, 'message')
    if (typeof farPort !== 'number') throw new Error('the far end did not come up')
    const common = { leash, farPort }
    const direct = await startRoad({ ...common, dir: join(dir, 'direct'), relayed: false })
    roads.push(direct)
    const relayed = await startRoad({ ...common, dir: join(dir, 'relayed'), relayed: true })
    roads.push(relayed)
    const arms: Arm[] = [{ name: 'loopback', open: () => openPlain(farPort) }]
    for (const tailnet of roads) arms.push({ name: '', tailnet, open: tailnet.open })
    for (const arm of arms) (await arm.open()).destroy()
    const named = await Promise.all(
      arms.map(async (arm) => ({ ...arm, name: (await arm.tailnet?.path()) ?? arm.name })),
    )
    await work(named, direct)
  } finally {
    for (const road of roads) await road.stop()
    await farEnd.terminate()
    await leash.close()
    rmSync(dir, { recursive: true, force: true })
  }
}

async function openPlain(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  await once(socket, 'connect')
  return socket
}

async function measureLatency(arms: readonly Arm[], rounds: number): Promise<readonly Row[]> {
  const message = Buffer.alloc(64, 1)
  const kept = await Promise.all(arms.map(async ({ open }) => ({ socket: await open(), ms: [] as number[] })))
  for (const { socket } of kept) socket.write(headOf('P'))
  const back = (socket: Socket) =>
    new Promise<void>((resolve) => {
      let left = message.length
      const onData = (chunk: Buffer) => {
        left -= chunk.length
        if (left > 0) return
        socket.off('data', onData)
        resolve()
      }
      socket.on('data', onData)
    })
  for (let round = -20; round < rounds; round += 1) {
    // The roads take turns, so that noise of the machine hits all alike.
    for (const { socket, ms } of kept) {
      const startedAt = performance.now()
      socket.write(message)
      await withDeadline(back(socket), stepMs, 'the message comes back')
      if (round >= 0) ms.push(performance.now() - startedAt)
    }
  }
  for (const { socket } of kept) socket.destroy()
  return kept.map(({ ms }, index) => latencyRow(arms[index]?.name ?? '', ms, kept[0]?.ms ?? []))
}

async function measureOpening(arms: readonly Arm[], rounds: number): Promise<readonly Row[]> {
  const times = arms.map(() => [] as number[])
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, { open }] of arms.entries()) {
      const startedAt = performance.now()
      const socket = await open()
      times[index]?.push(performance.now() - startedAt)
      socket.destroy()
    }
  }
  return times.map((ms, index) => latencyRow(arms[index]?.name ?? '', ms, times[0] ?? []))
}

function latencyRow(name: string, ms: readonly number[], plain: readonly number[]): Row {
  const [p50, p99] = [quantile(ms, 0.5), quantile(ms, 0.99)]
  return {
    road: name,
    p50: round(p50),
    p99: round(p99),
    'added p50': round(p50 - quantile(plain, 0.5)),
    'added p99': round(p99 - quantile(plain, 0.99)),
    rounds: ms.length,
  }
}

async function measureTransfers(arms: readonly Arm[], sizeMib: number): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const way of ['up', 'down'] as const) {
    for (const { name, tailnet, open } of arms) {
      const before = cpuOf(tailnet)
      const seconds = await transfer(await open(), way, sizeMib * mib)
      const after = cpuOf(tailnet)
      const perGb = (process: string) =>
        round((((after[process] ?? 0) - (before[process] ?? 0)) * 1000) / ((sizeMib * mib) / 1e6))
      rows.push({
        road: name,
        way,
        'MB/s': round((sizeMib * mib) / 1e6 / seconds),
        ...(tailnet === undefined
          ? {}
          : {
              'sidecar CPU-s/GB': perGb('meshlink'),
              'home CPU-s/GB': perGb('home'),
              'relay CPU-s/GB': perGb('control'),
            }),
      })
    }
  }
  return rows
}

function cpuOf(tailnet: RoadTailnet | undefined): Readonly<Record<string, number>> {
  return Object.fromEntries([...(tailnet?.processes ?? [])].map(([name, { pid }]) => [name, cpuSeconds(pid)]))
}

/** Moves bytes one way and gives the seconds; destroys the socket. */
async function transfer(socket: Socket, way: 'up' | 'down', bytes: number): Promise<number> {
  const startedAt = performance.now()
  let got = 0
  const ended = new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk) => {
      got += chunk.length
    })
    socket.on('end', resolve).on('error', reject)
  })
  socket.write(headOf(way === 'up' ? 'U' : 'D', bytes))
  if (way === 'up') await upload(socket, bytes)
  await withDeadline(ended, stepMs, `${bytes} bytes ${way}`)
  socket.destroy()
  if (got !== (way === 'up' ? 1 : bytes)) throw new Error(`${got} bytes came back`)
  return (performance.now() - startedAt) / 1000
}

async function upload(socket: Socket, bytes: number): Promise<void> {
  const piece = Buffer.alloc(256 * 1024, 0x5a)
  for (let left = bytes; left > 0; left -= Math.min(left, piece.length)) {
    if (!socket.write(piece.subarray(0, Math.min(left, piece.length)))) await once(socket, 'drain')
  }
}

async function measureMemory(direct: RoadTailnet): Promise<readonly Row[]> {
  // A fresh one: the kernel's high-water mark of a process never falls.
  const { process, open } = await direct.startSidecar('memory')
  const rows: Row[] = [
    { upload: 'none', 'RSS MiB': round(residentMiB(process.pid)), 'peak MiB': round(peakMiB(process.pid)) },
  ]
  const { pid } = process
  for (const sizeMib of uploadsMib) {
    await transfer(await open(), 'up', sizeMib * mib)
    rows.push({ upload: `${sizeMib} MiB`, 'RSS MiB': round(residentMiB(pid)), 'peak MiB': round(peakMiB(pid)) })
  }
  await process.stop()
  return rows
}

async function measureLife(direct: RoadTailnet, starts: number): Promise<readonly Row[]> {
  const ready: number[] = []
  const exit: number[] = []
  const stopOne = async (name: string) => {
    const { process, readyMs } = await direct.startSidecar(name)
    ready.push(readyMs)
    const startedAt = performance.now()
    await process.stop()
    exit.push(performance.now() - startedAt)
  }
  for (let number = 0; number < starts; number += 1) await stopOne(`life-${number}`)
  const last = await direct.startSidecar('control-dead')
  await direct.processes.get('control')?.kill()
  const startedAt = performance.now()
  await last.process.stop()
  const dead = performance.now() - startedAt
  return [
    { what: 'start to ready (asked every 25 ms)', median: round(quantile(ready, 0.5)), max: round(Math.max(...ready)) },
    { what: 'SIGTERM to exit', median: round(quantile(exit, 0.5)), max: round(Math.max(...exit)) },
    { what: 'SIGTERM to exit, control plane dead', median: round(dead), max: round(dead) },
  ]
}

function print(title: string, rows: readonly Row[], json: boolean): void {
  if (json) return void process.stdout.write(`${JSON.stringify({ title, rows })}\n`)
  process.stdout.write(`\n${title}\n`)
  for (const row of rows) {
    const cells = Object.entries(row).map(([key, value]) =>
      typeof value === 'string' ? value.padEnd(12) : `${key} ${value}`,
    )
    process.stdout.write(`  ${cells.join('   ')}\n`)
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

await main()
