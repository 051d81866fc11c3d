import { buildConnector } from 'undici'
import type { EngineConfig, Timeouts } from '../config.ts'
import type { Tunnel } from '../mesh/answer.ts'
import { connectMesh, type MeshAddress, type MeshCallback } from '../mesh/connect.ts'
import { connectSocks } from '../mesh/socks5.ts'
import { createTrust, startTls } from '../mesh/tls.ts'

/** What a dial is given beside undici's own options. */
export interface DialOptions extends buildConnector.Options {
  /** Ends the dial; its reason is the error. */
  readonly signal?: AbortSignal | undefined
  /** Told what the sidecar says about the tunnel, before the callback. */
  readonly onTunnel?: ((tunnel: Tunnel) => void) | undefined
}

/** undici's connector, with an end to it: gives an open socket or the reason why not, exactly once. */
export type Connector = (options: DialOptions, callback: buildConnector.Callback) => void

export interface Roads {
  readonly mesh: MeshAddress
  readonly timeouts: Pick<Timeouts, 'connectMs'>
  /** Told of every tunnel that the sidecar opened. */
  readonly onTunnel?: ((tunnel: Tunnel) => void) | undefined
}

/** Opens connections over the engine's road, encrypted where its url says https; all of it within `connectMs`. */
export function createConnector(engine: EngineConfig, roads: Roads): Connector {
  const dial = createDial(engine, roads)
  if (!engine.url.startsWith('https:')) return dial
  const { connectMs } = roads.timeouts
  const proof = {
    host: hostOf(engine.url),
    trust: createTrust(engine.tls?.ca),
    unanswered: engine.via === undefined ? 'engine_unreachable' : 'ingress_down',
  } as const
  return (options, callback) => {
    const startedAt = performance.now()
    dial(options, (error, socket) => {
      if (error !== null) return callback(error, null)
      const timeoutMs = Math.max(1, connectMs - (performance.now() - startedAt))
      startTls(socket, { ...proof, timeoutMs, signal: options.signal }, callback)
    })
  }
}

type Dial = (options: DialOptions, callback: MeshCallback) => void

/** The plain connection below: through the sidecar, through a SOCKS server, or straight. */
function createDial({ url, via }: EngineConfig, { mesh, timeouts, onTunnel }: Roads): Dial {
  const timeoutMs = timeouts.connectMs
  if (via === undefined) return dialStraight(portOf(url), timeoutMs)
  if (via.startsWith('mesh:')) {
    const upstream = via.slice('mesh:'.length)
    return (options, callback) => {
      const saw = (tunnel: Tunnel) => {
        onTunnel?.(tunnel)
        options.onTunnel?.(tunnel)
      }
      connectMesh({ sidecar: mesh, upstream, timeoutMs, signal: options.signal, onTunnel: saw }, callback)
    }
  }
  const proxy = { host: hostOf(via), port: portOf(via) }
  const target = { host: hostOf(url), port: portOf(url) }
  return ({ signal }, callback) => connectSocks({ proxy, target, timeoutMs, signal }, callback)
}

/** undici's own connector, but never its TLS: that is the same on every road. */
function dialStraight(port: number, timeoutMs: number): Dial {
  const connect = buildConnector({ timeout: timeoutMs, keepAlive: true })
  return ({ signal: _signal, onTunnel: _onTunnel, ...options }, callback) => {
    const plain = { ...options, protocol: 'http:', port: String(port) }
    // On an error undici gives no second argument at all, whatever its types say.
    connect(plain, (error, socket) => (error === null ? callback(null, socket) : callback(error, null)))
  }
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '')
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url)
  if (port !== '') return Number(port)
  return protocol === 'https:' ? 443 : 80
}
