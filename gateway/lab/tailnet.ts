import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { describeControl, describeHome } from '../dev/chain-processes.ts'
import { readParts, requirePart } from '../dev/parts.ts'
import type { RunningProcess } from '../dev/process.ts'
import { ask } from './ask.ts'
import type { Bench } from './bench.ts'
import { type Sidecar, type SidecarOptions, startSidecar } from './sidecar.ts'

export interface HomeOptions {
  /** Name of the node; also of its log. */
  readonly name: string
  /** PORT=HOST:PORT, tailnet ports and where they lead. */
  readonly forwards: readonly string[]
  readonly tags?: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A whole tailnet on loopback: control plane, relay and STUN as one process, and whoever joins it. */
export interface Tailnet {
  readonly authKey: string
  readonly authKeyFile: string
  readonly controlPort: number
  home(options: HomeOptions): Promise<RunningProcess>
  sidecar(options: SidecarOptions): Promise<Sidecar>
  /** Kills the control plane, relay and STUN with it. */
  killControl(): Promise<void>
  /** Starts it again on the same ports; it has forgotten everybody. */
  restartControl(): Promise<void>
  /** Names of the nodes that the control plane sees online. */
  onlineNodes(): Promise<readonly string[]>
  /** Switches a fault of the control plane on or off. */
  fault(name: string, query?: Readonly<Record<string, string>>): Promise<void>
}

const nodesSchema = z.array(z.object({ name: z.string(), online: z.boolean() }))
const faultTimeoutMs = 5_000

/** Starts the control plane; homes and sidecars join by the methods of the answer. */
export async function startTailnet(bench: Bench, controlArgs: readonly string[] = []): Promise<Tailnet> {
  const lab = requirePart(readParts(), 'lab')
  const authKey = randomBytes(24).toString('hex')
  const authKeyFile = join(bench.dir, 'auth-key')
  writeFileSync(authKeyFile, `${authKey}\n`, { mode: 0o600 })
  const ports = { control: await bench.port(), derp: await bench.port(), stun: await bench.port() }
  const admin = await bench.port()
  const startControl = () => {
    const spec = describeControl(lab, ports, authKey)
    const args = [...spec.args, '--admin-addr', `127.0.0.1:${admin}`, ...controlArgs]
    return bench.start('control', { ...spec, args })
  }
  let control = await startControl()
  return {
    authKey,
    authKeyFile,
    controlPort: ports.control,
    home: (options) =>
      bench.start('home', describeLabHome(lab, { ...ports, ingress: 0, ingressTls: 0 }, authKey, bench.dir, options)),
    sidecar: (options) => startSidecar(bench, { controlPort: ports.control, authKeyFile, ...options }),
    killControl: async () => void (await control.kill()),
    restartControl: async () => {
      control = await startControl()
    },
    onlineNodes: async () => {
      const { text } = await ask({ port: admin, path: '/nodes', timeoutMs: faultTimeoutMs })
      return nodesSchema.parse(JSON.parse(text)).flatMap(({ name, online }) => (online ? [name] : []))
    },
    fault: async (name, query = {}) => {
      const path = `/fault/${name}?${new URLSearchParams(query)}`
      const { status, text } = await ask({ port: admin, path, method: 'POST', timeoutMs: faultTimeoutMs })
      if (status >= 300) throw new Error(`POST ${path} answered ${status}, wanted 2xx: ${text}`)
    },
  }
}

function describeLabHome(
  lab: string,
  ports: Parameters<typeof describeHome>[1],
  authKey: string,
  dir: string,
  { name, forwards, tags = 'tag:gpu', args = [], env = {} }: HomeOptions,
) {
  const stateDir = join(dir, name)
  mkdirSync(stateDir, { recursive: true })
  const spec = describeHome(lab, ports, authKey, stateDir)
  // The first --forward of the chain's own home leads to its ingress, which is not here.
  const own = spec.args.flatMap((arg, at) => (arg === '--forward' || spec.args[at - 1] === '--forward' ? [] : [arg]))
  const leads = forwards.flatMap((forward) => ['--forward', forward])
  return {
    ...spec,
    name,
    args: [...own, '--hostname', name, '--tags', tags, ...leads, ...args],
    env: { ...spec.env, ...env },
  }
}
