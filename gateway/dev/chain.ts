import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type ChainModel, type EngineKind, ingressHost, replaceKey, writeGatewayFile } from './chain-config.ts'
import {
  type ChainPorts,
  describeControl,
  describeEcho,
  describeGateway,
  describeHome,
  describeMeshlink,
  describePage,
  locateLab,
  probeIngress,
} from './chain-processes.ts'
import { describeEngine, type EmbeddedModel } from './engine.ts'
import { createLauncher, type HopName, type Launcher, type LauncherOptions } from './launcher.ts'
import { type Parts, readParts, repositoryRoot, requirePart } from './parts.ts'
import { findFreePort } from './ports.ts'
import { probeStatus } from './probe.ts'
import { claimState } from './state-claim.ts'
import type { Supervised } from './supervise.ts'
import { type CertificateFiles, describeTraefik } from './traefik.ts'

export type { Hop, HopName } from './launcher.ts'

/** What answers at the end of the chain: the embedded engine, or one that runs already. */
export type ChainEngine =
  | { readonly from: 'embedded'; readonly model: EmbeddedModel; readonly threads?: number }
  | {
      readonly from: 'address'
      /** Origin, without a path. */
      readonly url: string
      readonly kind: EngineKind
      readonly capacity: number
      readonly models: readonly ChainModel[]
    }

/** `stateDir` takes config, keys, logs and the lab's state; `supervise`: whether processes that die come back. */
export interface ChainOptions extends LauncherOptions {
  /** `direct` leaves out the tailnet and Traefik. */
  readonly road: 'mesh' | 'direct'
  readonly engine: ChainEngine
  /** Port of the gateway; 0: a free one. */
  readonly port: number
  /** Port of the page; 0: a free one; left out: no page. */
  readonly pagePort?: number
  /** Source or bundle of the gateway; left out: the source. */
  readonly gatewayEntry?: string
  /** Further environment of the gateway. */
  readonly gatewayEnv?: Readonly<Record<string, string>>
  /** Further sections of hearth.yaml, such as limits and timeouts. */
  readonly gatewayConfig?: Readonly<Record<string, unknown>>
  /** From SIGTERM to SIGKILL of the gateway. */
  readonly gatewayStopTimeoutMs?: number
  /** Origins that may call the gateway from a browser, beside the page's own. */
  readonly origins?: readonly string[]
  readonly keyName?: string
  /** Certificates of an encrypted entry point of the ingress, reached by the upstream `meshTlsUpstream`. */
  readonly ingressCertificates?: readonly CertificateFiles[]
}

/** The running chain. Its owner calls `stop` once; it is safe to call again. */
export interface Chain {
  readonly gatewayUrl: string
  readonly pageUrl?: string
  /** A key for the gateway, made for this run. */
  readonly key: string
  readonly keysFile: string
  readonly configFile: string
  readonly models: readonly ChainModel[]
  readonly ports: ChainPorts
  readonly processes: ReadonlyMap<HopName, Supervised>
  /** From the start to the first answer of `/ready`. */
  readonly readyMs: number
  /** Ends everything in order, the gateway first; resolves when nothing runs any more. */
  stop(): Promise<void>
}

const endToEndTimeoutMs = 60_000
const endToEndPollMs = 50
const gatewayStopTimeoutMs = 9_500

/**
 * Starts the whole chain on this machine and resolves when `/ready` says that an answer can be had through all of it.
 * Throws a StartError that names the process and shows its log, after ending what had come up, or a ClaimError when a
 * chain runs in the same state folder.
 */
export async function startChain(options: ChainOptions): Promise<Chain> {
  const release = claimState(options.stateDir)
  const build = await prepare(options, release).catch((error) => {
    release()
    throw error
  })
  const { launcher } = build
  const startedAt = performance.now()
  try {
    await launcher.all([...(options.road === 'mesh' ? startMesh(build) : []), ...startEnds(build)])
    await awaitEndToEnd(build)
  } catch (error) {
    await launcher.stop()
    throw error
  }
  const { ports, files, key, models } = build
  return {
    gatewayUrl: `http://127.0.0.1:${ports.gateway}`,
    ...(options.pagePort === undefined ? {} : { pageUrl: `http://127.0.0.1:${ports.page}` }),
    key,
    ...files,
    models,
    ports,
    processes: launcher.processes,
    readyMs: Math.round(performance.now() - startedAt),
    stop: launcher.stop,
  }
}

interface Build {
  readonly options: ChainOptions
  readonly parts: Parts
  readonly ports: ChainPorts
  readonly files: { readonly keysFile: string; readonly configFile: string }
  readonly key: string
  readonly models: readonly ChainModel[]
  readonly authKey: string
  readonly launcher: Launcher
}

/** Everything that must be there before the first process: ports, hearth.yaml, a key of the API, a key of the lab. */
async function prepare(options: ChainOptions, release: () => void): Promise<Build> {
  const { stateDir } = options
  const parts = readParts()
  for (const name of listParts(options)) requirePart(parts, name)
  const ports = await choosePorts(options)
  const files = { keysFile: join(stateDir, 'keys.json'), configFile: join(stateDir, 'hearth.yaml') }
  const models = listModels(options.engine)
  rmSync(join(stateDir, 'logs'), { recursive: true, force: true })
  const key = replaceKey(files.keysFile, options.keyName ?? 'chain')
  writeGatewayFile({
    file: files.configFile,
    ...(options.road === 'direct' ? { directUrl: engineUrl(options.engine, ports) } : {}),
    kind: options.engine.from === 'embedded' ? 'llamacpp' : options.engine.kind,
    capacity: options.engine.from === 'embedded' ? options.engine.model.slots : options.engine.capacity,
    models,
    origins: [`http://127.0.0.1:${ports.page}`, `http://localhost:${ports.page}`, ...(options.origins ?? [])],
    ...(options.gatewayConfig === undefined ? {} : { extra: options.gatewayConfig }),
  })
  const authKey = randomBytes(24).toString('hex')
  const lab = locateLab(stateDir)
  rmSync(lab.dir, { recursive: true, force: true })
  mkdirSync(lab.dir, { recursive: true })
  writeFileSync(lab.authKeyFile, `${authKey}\n`, { mode: 0o600 })
  return { options, parts, ports, files, key, models, authKey, launcher: createLauncher(options, release) }
}

/** Looked at before anything starts, so that a missing part leaves nothing half up. */
function listParts({ road, engine }: ChainOptions): readonly (keyof Parts)[] {
  const mesh = ['lab', 'meshlink', 'traefik'] as const
  return [...(road === 'mesh' ? mesh : []), ...(engine.from === 'embedded' ? (['python'] as const) : [])]
}

function startMesh({ options, parts, ports, authKey, launcher }: Build): readonly Promise<unknown>[] {
  const lab = locateLab(options.stateDir)
  const labProgram = requirePart(parts, 'lab')
  const meshlink = requirePart(parts, 'meshlink')
  let generation = 0
  const control = launcher.start('control', 'control plane, relay and STUN of the lab', () => {
    generation += 1
    return describeControl(labProgram, ports, authKey)
  })
  const home = control.then(() =>
    // A new control plane knows nobody: the home comes as a new node, in a folder of its own.
    launcher.start('home', 'the home on the tailnet', () =>
      describeHome(labProgram, ports, authKey, `${lab.home}-${generation}`),
    ),
  )
  const sidecar = control.then(() =>
    launcher.start('meshlink', 'the sidecar on the tailnet', () =>
      describeMeshlink(meshlink, ports, lab.authKeyFile, lab.meshlink),
    ),
  )
  const ties = Promise.all([control, home, sidecar]).then(([first, ...others]) => {
    for (const other of others) first.takeAlong(other)
  })
  const echo = launcher.start('echo', 'echo of the home', () => describeEcho(meshlink, ports))
  const traefik = echo.then(() =>
    launcher.start('traefik', 'ingress of the home', () =>
      describeTraefik({
        binary: requirePart(parts, 'traefik'),
        port: ports.ingress,
        dir: join(options.stateDir, 'traefik'),
        host: ingressHost,
        ...(options.ingressCertificates === undefined
          ? {}
          : { tls: { port: ports.ingressTls, certificates: options.ingressCertificates } }),
        targets: { engine: engineUrl(options.engine, ports), echo: `http://127.0.0.1:${ports.echo}` },
        probe: (signal) => probeIngress(ports, signal),
      }),
    ),
  )
  return [control, home, sidecar, ties, echo, traefik]
}

/** What stands at both ends of the road: the engine, the gateway and the page. */
function startEnds({ options, parts, ports, files, models, launcher }: Build): readonly Promise<unknown>[] {
  const starts: Promise<unknown>[] = []
  const { engine } = options
  if (engine.from === 'embedded') {
    const python = requirePart(parts, 'python')
    const { model, threads } = engine
    const spec = { python, port: ports.engine, model, ...(threads === undefined ? {} : { threads }) }
    starts.push(launcher.start('engine', `llama.cpp with ${model.id}`, () => describeEngine(spec)))
  }
  const gateway = {
    entry: options.gatewayEntry ?? join(repositoryRoot, 'gateway/src/main.ts'),
    ...files,
    env: options.gatewayEnv ?? {},
    stopTimeoutMs: options.gatewayStopTimeoutMs ?? gatewayStopTimeoutMs,
  }
  starts.push(launcher.start('gateway', 'the public API', () => describeGateway(ports, gateway)))
  if (options.pagePort !== undefined) {
    const entry = join(repositoryRoot, 'client-web/server.ts')
    starts.push(launcher.start('page', 'the page', () => describePage(ports, entry, models[0]?.id ?? '')))
  }
  return starts
}

async function awaitEndToEnd({ ports, launcher }: Build): Promise<void> {
  const deadline = AbortSignal.timeout(endToEndTimeoutMs)
  const signal = AbortSignal.any([deadline, launcher.stopping])
  const probe = () => probeStatus({ port: ports.gateway, path: '/ready', signal }).catch(() => 0)
  for (let status = await probe(); status !== 200; status = await probe()) {
    launcher.stopping.throwIfAborted()
    if (deadline.aborted) {
      const log = launcher.processes.get('gateway')?.tail() ?? ''
      throw new Error(`all processes run, but /ready was ${status} for ${endToEndTimeoutMs} ms, wanted 200\n${log}`)
    }
    await wait(endToEndPollMs)
  }
}

function listModels(engine: ChainEngine): readonly ChainModel[] {
  if (engine.from === 'address') return engine.models
  const { id, context, mmproj } = engine.model
  return [{ id, context, ...(mmproj === undefined ? {} : { vision: { coordinates: 'absolute' } }) }]
}

function engineUrl(engine: ChainEngine, ports: ChainPorts): string {
  return engine.from === 'address' ? engine.url : `http://127.0.0.1:${ports.engine}`
}

async function choosePorts({ port, pagePort }: ChainOptions): Promise<ChainPorts> {
  const given = new Set<number>([port, pagePort ?? 0])
  const free = () => findFreePort(given)
  return {
    control: await free(),
    derp: await free(),
    stun: await free(),
    ingress: await free(),
    ingressTls: await free(),
    echo: await free(),
    engine: await free(),
    mesh: await free(),
    meshStatus: await free(),
    gateway: port || (await free()),
    admin: await free(),
    page: pagePort || (await free()),
  }
}
