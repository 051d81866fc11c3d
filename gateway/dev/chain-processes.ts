import { join } from 'node:path'
import { ingressHost, meshTlsUpstream, meshUpstream } from './chain-config.ts'
import { probeStatus } from './probe.ts'
import type { ProcessSpec } from './process.ts'

/** Ports of loopback for everything inside the chain. */
export interface ChainPorts {
  readonly control: number
  readonly derp: number
  readonly stun: number
  readonly ingress: number
  readonly ingressTls: number
  readonly echo: number
  readonly engine: number
  readonly mesh: number
  readonly meshStatus: number
  readonly gateway: number
  readonly admin: number
  readonly page: number
}

const readyTimeoutMs = 30_000
const labTags = 'tag:gpu,tag:gateway'

/** The lab's control plane, relay and STUN server; it keeps nothing, so who joined before must join again. */
export function describeControl(
  lab: string,
  ports: Pick<ChainPorts, 'control' | 'derp' | 'stun'>,
  authKey: string,
): ProcessSpec {
  const args = ['control', '--addr', `127.0.0.1:${ports.control}`, '--derp-addr', `127.0.0.1:${ports.derp}`]
  args.push('--stun-addr', `127.0.0.1:${ports.stun}`, '--auth-key', authKey, '--tags', labTags, '--exit-with-parent')
  return { ...base('control', lab, args), ready: { by: 'line' }, stopTimeoutMs: 1_000 }
}

/** The home's end of the tailnet, in front of the ingress. */
export function describeHome(
  lab: string,
  ports: Pick<ChainPorts, 'control' | 'ingress' | 'ingressTls'>,
  authKey: string,
  dir: string,
): ProcessSpec {
  const args = ['home', '--control-url', controlUrl(ports), '--auth-key', authKey, '--hostname', 'home-gpu']
  args.push('--tags', 'tag:gpu', '--dir', dir, '--exit-with-parent')
  args.push('--forward', `80=127.0.0.1:${ports.ingress}`, '--forward', `443=127.0.0.1:${ports.ingressTls}`)
  return { ...base('home', lab, args), ready: { by: 'line' }, stopTimeoutMs: 1_000 }
}

/** The sidecar. Its key comes by file, as a mounted secret does. */
export function describeMeshlink(
  meshlink: string,
  ports: Pick<ChainPorts, 'control' | 'mesh' | 'meshStatus'>,
  authKeyFile: string,
  dir: string,
): ProcessSpec {
  const spec = base('meshlink', meshlink, ['--lab', '--exit-with-parent'])
  return {
    ...spec,
    env: {
      ...spec.env,
      TS_AUTHKEY_FILE: authKeyFile,
      TS_CONTROL_URL: controlUrl(ports),
      TS_TAGS: 'tag:gateway',
      MESH_UPSTREAMS: `${meshUpstream}=tag:gpu:80,${meshTlsUpstream}=tag:gpu:443`,
      MESH_ADDR: `127.0.0.1:${ports.mesh}`,
      MESH_STATUS_ADDR: `127.0.0.1:${ports.meshStatus}`,
      MESH_STATE_DIR: dir,
    },
    ready: awaitStatus('/readyz is 200', { port: ports.meshStatus, path: '/readyz' }),
    stopTimeoutMs: 2_000,
  }
}

/** The part of the home that sends a body back. */
export function describeEcho(meshlink: string, ports: ChainPorts): ProcessSpec {
  return {
    ...base('echo', meshlink, ['echo', '--addr', `127.0.0.1:${ports.echo}`, '--exit-with-parent']),
    ready: awaitStatus('it echoes', { port: ports.echo, path: '/-/echo', method: 'POST', body: 'ready?' }),
    stopTimeoutMs: 1_000,
  }
}

/** Whether the ingress has read its rules: the echo rule answers through it. */
export async function probeIngress(ports: ChainPorts, signal: AbortSignal): Promise<boolean> {
  const echo = { port: ports.ingress, path: '/-/echo', method: 'POST', host: ingressHost, body: 'ready?' } as const
  return (await probeStatus({ ...echo, signal })) === 200
}

export interface GatewayProcessOptions {
  /** TypeScript source or bundle. */
  readonly entry: string
  readonly configFile: string
  readonly keysFile: string
  readonly env: Readonly<Record<string, string>>
  readonly stopTimeoutMs: number
}

/** The gateway, on loopback unless HEARTH_HOST says otherwise. */
export function describeGateway(
  ports: Pick<ChainPorts, 'gateway' | 'mesh' | 'meshStatus' | 'admin'>,
  options: GatewayProcessOptions,
): ProcessSpec {
  return {
    ...base('gateway', process.execPath, [options.entry]),
    env: {
      ...process.env,
      HEARTH_HOST: process.env['HEARTH_HOST'] ?? '127.0.0.1',
      PORT: String(ports.gateway),
      HEARTH_CONFIG: options.configFile,
      HEARTH_KEYS_FILE: options.keysFile,
      HEARTH_MESH_ADDR: `127.0.0.1:${ports.mesh}`,
      HEARTH_MESH_STATUS_URL: `http://127.0.0.1:${ports.meshStatus}`,
      HEARTH_ADMIN_ADDR: `127.0.0.1:${ports.admin}`,
      ...options.env,
    },
    ready: awaitStatus('/health is 200', { port: ports.gateway, path: '/health' }),
    stopTimeoutMs: options.stopTimeoutMs,
  }
}

/** The server of the built page. */
export function describePage(ports: ChainPorts, entry: string, defaultModel: string): ProcessSpec {
  const spec = base('page', process.execPath, [entry])
  const env = {
    ...spec.env,
    PORT: String(ports.page),
    API_BASE_URLS: `http://127.0.0.1:${ports.gateway}/v1`,
    DEFAULT_MODEL: defaultModel,
  }
  return { ...spec, env, ready: { by: 'line' }, stopTimeoutMs: 1_000 }
}

/** A control plane of the user must not reach the lab by a variable, so these processes get only what they need. */
function base(name: string, command: string, args: readonly string[]) {
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], TMPDIR: process.env['TMPDIR'] }
  return { name, command, args, env, readyTimeoutMs }
}

function controlUrl(ports: Pick<ChainPorts, 'control'>): string {
  return `http://127.0.0.1:${ports.control}`
}

function awaitStatus(what: string, probe: Parameters<typeof probeStatus>[0]) {
  return {
    by: 'poll',
    what,
    probe: async (signal: AbortSignal) => (await probeStatus({ ...probe, signal })) === 200,
  } as const
}

/** Where a process of the chain keeps what it needs. */
export function locateLab(stateDir: string) {
  const dir = join(stateDir, 'lab')
  return { dir, authKeyFile: join(dir, 'auth-key'), home: join(dir, 'home'), meshlink: join(dir, 'meshlink') }
}
