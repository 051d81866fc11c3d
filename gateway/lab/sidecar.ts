import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describeMeshlink } from '../dev/chain-processes.ts'
import { readParts, requirePart } from '../dev/parts.ts'
import { probeStatus } from '../dev/probe.ts'
import type { RunningProcess } from '../dev/process.ts'
import { waitUntil } from '../test/deadline.ts'
import { ask, codeOf } from './ask.ts'
import type { Bench } from './bench.ts'
import { readStatus, type StatusDocument } from './status-document.ts'

export interface SidecarOptions {
  /** Name of its log. */
  readonly name: string
  /** MESH_UPSTREAMS. */
  readonly upstreams: string
  /** Cures that are switched off. */
  readonly without?: readonly string[]
  /** Further environment; an empty text takes a variable away. */
  readonly env?: Readonly<Record<string, string>>
}

/** Where a sidecar belongs. */
export interface SidecarPlace {
  readonly controlPort: number
  readonly authKeyFile: string
}

export interface Readiness {
  readonly status: number
  readonly code: string | undefined
  readonly ms: number
}

/** One meshlink, up but not necessarily in the tailnet. */
export interface Sidecar {
  readonly name: string
  readonly port: number
  readonly statusPort: number
  readonly process: RunningProcess
  /** When its status port first answered, by `performance.now()`. */
  readonly startedAtMs: number
  /** GET /readyz once. Rejects when nothing answers in time. */
  readyz(timeoutMs?: number): Promise<Readiness>
  /** Resolves once /readyz is 200. */
  ready(timeoutMs: number): Promise<void>
  document(): Promise<StatusDocument>
  post(path: string): Promise<void>
}

const statusTimeoutMs = 5_000

/** Starts a meshlink and resolves as soon as its status port answers. The bench ends it. */
export async function startSidecar(bench: Bench, options: SidecarPlace & SidecarOptions): Promise<Sidecar> {
  const { name, upstreams, without = [], env = {}, authKeyFile } = options
  const ports = { control: options.controlPort, mesh: await bench.port(), meshStatus: await bench.port() }
  const stateDir = join(bench.dir, name)
  mkdirSync(stateDir, { recursive: true })
  const spec = describeMeshlink(requirePart(readParts(), 'meshlink'), ports, authKeyFile, stateDir)
  const livez = { port: ports.meshStatus, path: '/livez' }
  const process = await bench.start('sidecar', {
    ...spec,
    name,
    args: [...spec.args, ...(without.length === 0 ? [] : ['--without', without.join(',')])],
    env: { ...spec.env, MESH_UPSTREAMS: upstreams, ...env },
    ready: {
      by: 'poll',
      what: '/livez is 200',
      probe: async (signal) => (await probeStatus({ ...livez, signal })) === 200,
    },
  })
  const get = (path: string, timeoutMs = statusTimeoutMs) => ask({ port: ports.meshStatus, path, timeoutMs })
  const readyz = async (timeoutMs = statusTimeoutMs) => {
    const { status, text, ms } = await get('/readyz', timeoutMs)
    return { status, code: codeOf(text), ms }
  }
  return {
    name,
    port: ports.mesh,
    statusPort: ports.meshStatus,
    process,
    startedAtMs: performance.now(),
    readyz,
    ready: async (timeoutMs) => {
      const isReady = () => readyz().then(({ status }) => status === 200)
      await waitUntil(isReady, timeoutMs, `/readyz of ${name} is 200`)
    },
    document: async () => readStatus((await get('/v1/status')).text),
    post: async (path) => {
      await ask({ port: ports.meshStatus, path, method: 'POST', timeoutMs: statusTimeoutMs })
    },
  }
}
