import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { meshUpstream } from '../dev/chain-config.ts'
import { type ChainPorts, describeControl, describeHome, describeMeshlink, locateLab } from '../dev/chain-processes.ts'
import type { Leash } from '../dev/leash.ts'
import { readParts, requirePart } from '../dev/parts.ts'
import { findFreePort } from '../dev/ports.ts'
import { type ProcessSpec, type RunningProcess, startProcess } from '../dev/process.ts'
import { connectMesh } from '../src/mesh/connect.ts'

/** A tailnet of its own on loopback: control plane with relay, home, sidecar. `stop` ends all. */
export interface RoadTailnet {
  readonly processes: ReadonlyMap<'control' | 'home' | 'meshlink', RunningProcess>
  /** Opens a tunnel to the far end; the caller destroys it. */
  open(): Promise<Socket>
  /** How the sidecar says that it goes: direct, derp … */
  path(): Promise<string>
  /** Starts one more sidecar and gives the milliseconds until it was ready; the caller stops it. */
  startSidecar(name: string): Promise<Sidecar>
  stop(): Promise<void>
}

/** One more sidecar in the same tailnet. */
export interface Sidecar {
  readonly process: RunningProcess
  readonly readyMs: number
  open(): Promise<Socket>
}

export interface RoadOptions {
  readonly dir: string
  readonly leash: Leash
  /** Port of the far end on loopback. */
  readonly farPort: number
  /** No direct way: every packet goes through the relay. */
  readonly relayed: boolean
}

const openTimeoutMs = 20_000

/** Starts the tailnet; after a failure nothing of it runs. */
export async function startRoad({ dir, leash, farPort, relayed }: RoadOptions): Promise<RoadTailnet> {
  const ports = await choosePorts(farPort)
  const parts = readParts()
  const authKey = randomBytes(24).toString('hex')
  const lab = locateLab(dir)
  mkdirSync(lab.dir, { recursive: true })
  writeFileSync(lab.authKeyFile, authKey, { mode: 0o600 })
  const running: RunningProcess[] = []
  const only = relayed ? { TS_DEBUG_NEVER_DIRECT_UDP: '1' } : {}
  const start = async (spec: ProcessSpec) => {
    const process = await startProcess({ ...spec, env: { ...spec.env, ...only } }, { logDir: join(dir, 'logs'), leash })
    running.push(process)
    return process
  }
  const stop = async () => {
    // Nodes before the control plane: each would wait for its log-out.
    for (const process of running.splice(0).reverse()) await process.stop()
  }
  const sidecarSpec = (at: ChainPorts, stateDir: string) =>
    describeMeshlink(requirePart(parts, 'meshlink'), at, lab.authKeyFile, stateDir)
  try {
    const control = await start(describeControl(requirePart(parts, 'lab'), ports, authKey))
    const home = await start(describeHome(requirePart(parts, 'lab'), ports, authKey, lab.home))
    const meshlink = await start(sidecarSpec(ports, lab.meshlink))
    return {
      processes: new Map([
        ['control', control],
        ['home', home],
        ['meshlink', meshlink],
      ]),
      open: () => openTunnel(ports.mesh),
      path: () => readPath(ports.meshStatus),
      startSidecar: async (name) => {
        const more = { ...ports, mesh: await findFreePort(new Set()), meshStatus: await findFreePort(new Set()) }
        const spec = sidecarSpec(more, `${lab.meshlink}-${name}`)
        const startedAt = performance.now()
        const process = await start({ ...spec, name, stopTimeoutMs: 12_000 })
        return { process, readyMs: performance.now() - startedAt, open: () => openTunnel(more.mesh) }
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function choosePorts(farPort: number): Promise<ChainPorts> {
  const given = new Set<number>()
  const free = () => findFreePort(given)
  return {
    control: await free(),
    derp: await free(),
    stun: await free(),
    ingress: farPort,
    ingressTls: 0,
    echo: 0,
    engine: 0,
    mesh: await free(),
    meshStatus: await free(),
    gateway: 0,
    admin: 0,
    page: 0,
  }
}

function openTunnel(port: number): Promise<Socket> {
  const dial = { sidecar: { host: '127.0.0.1', port }, upstream: meshUpstream, timeoutMs: openTimeoutMs }
  return new Promise((resolve, reject) => {
    connectMesh(dial, (error, socket) => (socket === null ? reject(error) : resolve(socket)))
  })
}

async function readPath(port: number): Promise<string> {
  const answer: unknown = await (await fetch(`http://127.0.0.1:${port}/v1/status`)).json()
  const upstreams: unknown =
    answer !== null && typeof answer === 'object' ? Reflect.get(answer, 'upstreams') : undefined
  const first: unknown = Array.isArray(upstreams) ? upstreams[0] : undefined
  return first !== null && typeof first === 'object' ? String(Reflect.get(first, 'path')) : 'unknown'
}

const ticksPerSecond = 100

/** Processor seconds that a process has used so far. Linux only. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}
