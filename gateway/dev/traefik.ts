import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { type EngineRoute, engineRoutes, type HomeRoute, homeRoutes } from '../src/routes/routes.data.ts'
import type { ProcessSpec } from './process.ts'

/** Where a rule leads: an engine, or the part of the home that echoes. */
export type IngressTarget = 'engine' | 'echo'

/** One rule of the home ingress: everything that no rule names is refused. */
export interface IngressRule {
  readonly name: string
  /** In Traefik's rule language, the same for a file and for an IngressRoute. */
  readonly match: string
  readonly target: IngressTarget
}

/**
 * The rules of the home ingress from the one list of routes: the exact host, the exact method and the exact path.
 * Pure, so the lab and the manifests of k3s carry the same text.
 */
export function createIngressRules(
  host: string,
  engine: readonly EngineRoute[] = engineRoutes,
  home: readonly HomeRoute[] = homeRoutes,
): readonly IngressRule[] {
  const rule = (target: IngressTarget) => (route: EngineRoute | HomeRoute) => ({
    name: nameRule(target, route),
    match: `Host(\`${requirePlain(host)}\`) && Method(\`${route.method}\`) && Path(\`${requirePlain(route.path)}\`)`,
    target,
  })
  return [...engine.map(rule('engine')), ...home.map(rule('echo'))]
}

function nameRule(target: IngressTarget, route: EngineRoute | HomeRoute): string {
  const path = route.path.replace(/[^a-z0-9]+/gi, '-').replace(/^-|-$/g, '')
  return `${target}-${route.method.toLowerCase()}-${path}`
}

/** A back-tick would end the text inside the rule, a brace would start a pattern. */
function requirePlain(text: string): string {
  if (/^[A-Za-z0-9._/-]+$/.test(text)) return text
  throw new Error(`"${text}" cannot stand in an ingress rule: wants letters, digits and . _ / -`)
}

/**
 * How long the ingress waits; the manifests of k3s carry the same. No bound on reading and writing, because the
 * gateway has its own deadlines and an answer may stream for an hour.
 */
export const ingressTimeouts = {
  readTimeout: '0s',
  writeTimeout: '0s',
  idleTimeout: '180s',
  upstreamDialTimeout: '3s',
} as const

/**
 * How many connections to an engine the ingress keeps for later: none. An engine may close a kept one in the very
 * moment a request goes out on it (llama.cpp does after every stream, unannounced; vLLM after 5 s), and a POST is never
 * sent twice: of 120 requests five died so, and of 240 none with a connection each. A dial beside the engine is cheap.
 */
export const upstreamIdleConnectionsMax = -1

const encodedCharactersRefused = {
  allowEncodedSlash: false,
  allowEncodedBackSlash: false,
  allowEncodedNullCharacter: false,
  allowEncodedSemicolon: false,
  allowEncodedPercent: false,
  allowEncodedQuestionMark: false,
  allowEncodedHash: false,
}

/** A certificate and its private key, PEM files. */
export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** What Traefik reads once at its start. With a `tlsPort` it listens there too, encrypted, by the same rules. */
export function createStaticConfig(port: number, rulesFile: string, tlsPort?: number) {
  const { readTimeout, writeTimeout, idleTimeout } = ingressTimeouts
  const http = { encodedCharacters: encodedCharactersRefused, aliasHeadersStrategy: 'delete' }
  const transport = {
    respondingTimeouts: { readTimeout, writeTimeout, idleTimeout },
    lifeCycle: { graceTimeOut: '1s' },
  }
  const encrypted = { address: `127.0.0.1:${tlsPort}`, http: { ...http, tls: {} }, transport }
  return {
    global: { checkNewVersion: false, sendAnonymousUsage: false },
    log: { level: 'WARN', noColor: true },
    entryPoints: {
      web: { address: `127.0.0.1:${port}`, http, transport },
      ...(tlsPort === undefined ? {} : { websecure: encrypted }),
    },
    providers: { file: { filename: rulesFile, watch: false } },
  }
}

/**
 * Routers, services and the transport to the engines. With certificates the rules hold on the encrypted entry point too:
 * a caller gets the one for the name it asks for, or the first.
 */
export function createRulesConfig(
  rules: readonly IngressRule[],
  targets: Readonly<Record<IngressTarget, string>>,
  certificates: readonly CertificateFiles[] = [],
) {
  const entryPoints = certificates.length === 0 ? ['web'] : ['web', 'websecure']
  const service = (url: string) => ({
    loadBalancer: {
      servers: [{ url }],
      passHostHeader: false,
      // No flush interval: event streams are flushed at once anyway, and flushing a plain answer lets its reader send
      // the next request before this one is over, which Traefik 3.7 takes for a departure and cuts the connection.
      serversTransport: 'engine',
    },
  })
  return {
    http: {
      routers: Object.fromEntries(
        rules.map((rule) => [rule.name, { rule: rule.match, service: rule.target, entryPoints }]),
      ),
      services: { engine: service(targets.engine), echo: service(targets.echo) },
      serversTransports: {
        engine: {
          maxIdleConnsPerHost: upstreamIdleConnectionsMax,
          forwardingTimeouts: { dialTimeout: ingressTimeouts.upstreamDialTimeout },
        },
      },
    },
    ...(certificates.length === 0
      ? {}
      : { tls: { certificates, stores: { default: { defaultCertificate: certificates[0] } } } }),
  }
}

export interface TraefikOptions {
  readonly binary: string
  readonly port: number
  /** Its two files are written here. */
  readonly dir: string
  readonly host: string
  readonly targets: Readonly<Record<IngressTarget, string>>
  /** An encrypted entry point beside the plain one. */
  readonly tls?: { readonly port: number; readonly certificates: readonly CertificateFiles[] }
  /** Whether it answers and has read its rules. */
  readonly probe: (signal: AbortSignal) => Promise<boolean>
}

/** Writes both files and says how to start Traefik with them. */
export function describeTraefik(options: TraefikOptions): ProcessSpec {
  mkdirSync(options.dir, { recursive: true })
  const staticFile = join(options.dir, 'traefik.yaml')
  const rulesFile = join(options.dir, 'rules.yaml')
  const rules = createRulesConfig(createIngressRules(options.host), options.targets, options.tls?.certificates)
  // No aliases: the same part of the file in two places would be written as a reference.
  const write = (file: string, value: object) => writeFileSync(file, stringify(value, { aliasDuplicateObjects: false }))
  write(rulesFile, rules)
  write(staticFile, createStaticConfig(options.port, rulesFile, options.tls?.port))
  return {
    name: 'traefik',
    command: options.binary,
    args: [`--configFile=${staticFile}`],
    // An environment of its own: TRAEFIK_… variables of the user would be read as configuration.
    env: { PATH: process.env['PATH'], HOME: options.dir },
    cwd: options.dir,
    ready: { by: 'poll', what: 'the echo rule answers', probe: options.probe },
    readyTimeoutMs: 15_000,
    stopTimeoutMs: 1_500,
  }
}
