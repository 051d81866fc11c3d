import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLeash } from '../dev/leash.ts'
import { readParts, requirePart } from '../dev/parts.ts'
import { findFreePort } from '../dev/ports.ts'
import { probeStatus } from '../dev/probe.ts'
import { startProcess } from '../dev/process.ts'
import { describeTraefik, upstreamIdleConnectionsMax } from '../dev/traefik.ts'

/** The real Traefik with the rules of the home in front of one engine, without a mesh. */
export interface Ingress extends AsyncDisposable {
  readonly url: string
}

/** The name that a gateway uses which dials it on loopback. */
const host = '127.0.0.1'

/** Starts one that keeps so many idle connections to the engine; whoever starts it disposes of it. */
export async function startIngress(engineUrl: string, idleConnections = upstreamIdleConnectionsMax): Promise<Ingress> {
  const dir = mkdtempSync(join(tmpdir(), 'hearth-ingress-'))
  const port = await findFreePort(new Set())
  const spec = describeTraefik({
    binary: requirePart(readParts(), 'traefik'),
    port,
    dir,
    host,
    targets: { engine: engineUrl, echo: engineUrl },
    probe: async (signal) => (await probeStatus({ port, path: '/v1/models', host, signal })) === 200,
  })
  const rules = join(dir, 'rules.yaml')
  const setting = `maxIdleConnsPerHost: ${upstreamIdleConnectionsMax}`
  const text = readFileSync(rules, 'utf8')
  if (!text.includes(setting)) throw new Error(`the rules of Traefik hold no "${setting}"`)
  writeFileSync(rules, text.replace(setting, `maxIdleConnsPerHost: ${idleConnections}`))
  const leash = openLeash()
  const traefik = await startProcess(spec, { logDir: dir, leash })
  return {
    url: `http://${host}:${port}`,
    [Symbol.asyncDispose]: async () => {
      await traefik.stop()
      await leash.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
