import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stringify } from 'yaml'
import { ingressHost } from './chain-config.ts'
import { repositoryRoot } from './parts.ts'
import { createIngressRules, type IngressTarget, ingressTimeouts, upstreamIdleConnectionsMax } from './traefik.ts'

const namespace = 'hearth'
const transport = 'engine'
const services: Readonly<Record<IngressTarget, string>> = { engine: 'vllm-qwen', echo: 'echo' }

const header = `# Written by gateway/dev/render-k3s.ts from gateway/src/routes/routes.data.ts and gateway/dev/traefik.ts: change those.
# NOT YET RUN ON A REAL CLUSTER; its proof comes with the deployment work.
`

/** The manifests of k3s/ that come from the one list of routes and the lab's ingress, by file name. */
export function renderManifests(): ReadonlyMap<string, string> {
  return new Map([
    ['ingress-route.yaml', header + stringify(createIngressRoute(ingressHost), { lineWidth: 0 })],
    ['servers-transport.yaml', header + stringify(createServersTransport())],
  ])
}

function createIngressRoute(host: string) {
  return {
    apiVersion: 'traefik.io/v1alpha1',
    kind: 'IngressRoute',
    metadata: { name: 'home', namespace },
    spec: {
      entryPoints: ['web'],
      routes: createIngressRules(host).map(({ match, target }) => ({
        kind: 'Rule',
        match,
        services: [
          {
            name: services[target],
            port: 'http',
            passHostHeader: false,
            serversTransport: transport,
          },
        ],
      })),
    },
  }
}

function createServersTransport() {
  return {
    apiVersion: 'traefik.io/v1alpha1',
    kind: 'ServersTransport',
    metadata: { name: transport, namespace },
    spec: {
      maxIdleConnsPerHost: upstreamIdleConnectionsMax,
      forwardingTimeouts: { dialTimeout: ingressTimeouts.upstreamDialTimeout },
    },
  }
}

/** The files in `folder` that are not what the list says; empty when all are. */
export function findStale(folder: string): readonly string[] {
  return [...renderManifests()].filter(([name, text]) => readOrEmpty(join(folder, name)) !== text).map(([name]) => name)
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function main(): void {
  const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
  const folder = join(repositoryRoot, 'k3s')
  if (!values.check) {
    for (const [name, text] of renderManifests()) writeFileSync(join(folder, name), text)
    return
  }
  const stale = findStale(folder)
  if (stale.length === 0) return
  process.stderr.write(`k3s/${stale.join(', k3s/')}: not what the routes say. Run: node gateway/dev/render-k3s.ts\n`)
  process.exitCode = 1
}

if (import.meta.main) main()
