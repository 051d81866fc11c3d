import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type ChainPorts, describeControl, describeHome } from '../dev/chain-processes.ts'
import { openLeash } from '../dev/leash.ts'
import { readParts, requirePart } from '../dev/parts.ts'
import { findFreePort } from '../dev/ports.ts'
import { probeStatus } from '../dev/probe.ts'
import { type ProcessSpec, type RunningProcess, startProcess } from '../dev/process.ts'
import { describeTraefik } from '../dev/traefik.ts'
import { createAuthority } from './certificates.ts'
import { type EngineProcess, spawnEngine } from './fake-control.ts'

/** The programs of the stock image. */
export interface StockPrograms {
  readonly tailscaled: string
  readonly tailscale: string
}

/** The lab's tailnet with the home in it, and the real tailscaled where otherwise the sidecar stands. */
export interface StockTailnet extends AsyncDisposable {
  readonly engine: EngineProcess
  readonly socksPort: number
  /** The home on the tailnet: its MagicDNS name and its address. */
  readonly homeName: string
  readonly homeAddress: string
  /** The authority of the certificate that the ingress shows for `homeName`. */
  readonly caFile: string
  readonly tailscaled: RunningProcess
  readonly home: RunningProcess
  readonly traefik: RunningProcess
  tailscale(...args: readonly string[]): Promise<string>
}

const homeName = 'home-gpu.lab.test'
const upTimeoutMs = 30_000
/** Traefik 3.7.15 cuts some event streams that begin within a millisecond of the prompt; no real engine is so fast. */
export const readsItsPrompt = { headDelayMs: 5 } as const

/** Starts control plane, home, ingress and engine of the lab, and tailscaled in userspace mode with its SOCKS server. */
export async function startStockTailnet(programs: StockPrograms): Promise<StockTailnet> {
  const dir = mkdtempSync(join(tmpdir(), 'hearth-stock-'))
  const leash = openLeash()
  const started: RunningProcess[] = []
  const engine = await spawnEngine()
  await engine.setDefault(readsItsPrompt)
  const dispose = async () => {
    for (const process of started.reverse()) await process.stop()
    await leash.close()
    await engine.close()
    rmSync(dir, { recursive: true, force: true })
  }
  const start = async (spec: ProcessSpec) => {
    const process = await startProcess(spec, { logDir: join(dir, 'logs'), leash })
    started.push(process)
    return process
  }
  try {
    const lab = await startLab(dir, engine.url, start)
    const socksPort = await findFreePort(new Set(Object.values(lab.ports)))
    const socket = join(dir, 'tailscaled.sock')
    const tailscaled = await start(describeTailscaled(programs.tailscaled, dir, socket, socksPort))
    const tailscale = async (...args: readonly string[]) => {
      const options = { timeout: upTimeoutMs, env: stockEnv(dir) }
      return (await promisify(execFile)(programs.tailscale, [`--socket=${socket}`, ...args], options)).stdout
    }
    const login = [`--login-server=http://127.0.0.1:${lab.ports.control}`, `--auth-key=${lab.authKey}`]
    await tailscale('up', ...login, '--accept-dns=false', '--hostname=stock')
    const homeAddress = String(lab.home.facts['ip'])
    return { ...lab, engine, socksPort, homeName, homeAddress, tailscaled, tailscale, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

async function startLab(dir: string, engineUrl: string, start: (spec: ProcessSpec) => Promise<RunningProcess>) {
  const parts = readParts()
  const ports = await choosePorts()
  const authKey = randomBytes(24).toString('hex')
  const program = requirePart(parts, 'lab')
  const control = await start(describeControl(program, ports, authKey))
  mkdirSync(join(dir, 'certificates'))
  const authority = createAuthority('home')
  const { cert, key } = authority.issue({ names: [homeName] })
  const keep = (name: string, text: string) => {
    writeFileSync(join(dir, 'certificates', name), text)
    return join(dir, 'certificates', name)
  }
  const traefik = await start(
    describeTraefik({
      binary: requirePart(parts, 'traefik'),
      port: ports.ingress,
      dir: join(dir, 'traefik'),
      host: homeName,
      targets: { engine: engineUrl, echo: engineUrl },
      tls: {
        port: ports.ingressTls,
        certificates: [{ certFile: keep('home.pem', cert), keyFile: keep('home.key', key) }],
      },
      probe: async (signal) =>
        (await probeStatus({ port: ports.ingress, path: '/v1/models', host: homeName, signal })) === 200,
    }),
  )
  const home = await start(describeHome(program, ports, authKey, join(dir, 'home')))
  return { ports, authKey, control, traefik, home, caFile: keep('ca.pem', authority.cert) }
}

async function choosePorts(): Promise<ChainPorts> {
  const given = new Set<number>()
  const names = ['control', 'derp', 'stun', 'ingress', 'ingressTls', 'echo', 'engine', 'mesh', 'meshStatus'] as const
  const ports = { gateway: 0, page: 0 } as Record<keyof ChainPorts, number>
  for (const name of names) ports[name] = await findFreePort(given)
  return ports
}

/** As the official image starts it, but in a folder of its own, with nothing kept and nobody called. */
function describeTailscaled(program: string, dir: string, socket: string, socksPort: number): ProcessSpec {
  const args = ['--tun=userspace-networking', `--socks5-server=127.0.0.1:${socksPort}`, `--statedir=${dir}/tailscaled`]
  return {
    name: 'tailscaled',
    command: program,
    args: [...args, '--state=mem:', `--socket=${socket}`, '--port=0'],
    env: stockEnv(dir),
    ready: { by: 'poll', what: 'its socket is there', probe: async () => existsSync(socket) },
    readyTimeoutMs: 15_000,
    stopTimeoutMs: 8_000,
  }
}

function stockEnv(dir: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: dir,
    TS_NO_LOGS_NO_SUPPORT: '1',
    TS_PANIC_IF_HIT_MAIN_CONTROL: '1',
    TS_DISABLE_PORTMAPPER: '1',
    TS_ASSUME_NETWORK_UP_FOR_TEST: '1',
  }
}
