import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, relative, sep } from 'node:path'
import { gzipSync } from 'node:zlib'

export interface PageServerOptions {
  host: string
  port: number
  /** Addresses the page may call; the first is its default. `*` lets the person type any. */
  apiBaseUrls: readonly string[]
  defaultModel: string
  /** The folder of the built page. */
  directory: string
}

export interface PageServer {
  readonly url: string
  /** Stops listening and ends open connections. */
  close(): Promise<void>
}

interface Asset {
  body: Buffer
  zipped: Buffer | undefined
  headers: Record<string, string>
}

const contentTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
}
const zippedFromBytes = 1024

/**
 * Serves the built page. Only files that lay in `directory` at the start exist for it: a request is looked up by name and
 * never becomes a path. Throws when the folder has no index.html.
 */
export async function createPageServer(options: PageServerOptions): Promise<PageServer> {
  const assets = loadAssets(options)
  const policy = contentSecurityPolicy(options.apiBaseUrls)
  // Requests here have no body; the 300 s that Node gives each would be for its enemies.
  const limits = { requestTimeout: 10_000, headersTimeout: 10_000 }
  const server = createServer(limits, (request, response) => respond(request, response, assets, policy))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, resolve)
  })
  const { address, family, port } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

/** The policy of every answer: own scripts and styles alone, calls to the listed origins alone, markup only by the sanitiser. */
export function contentSecurityPolicy(apiBaseUrls: readonly string[]): string {
  const origins = apiBaseUrls.includes('*') ? ['http:', 'https:'] : apiBaseUrls.map((url) => new URL(url).origin)
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src ${["'self'", ...new Set(origins)].join(' ')}`,
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types dompurify',
  ].join('; ')
}

/** Reads PORT, HOST, API_BASE_URLS and DEFAULT_MODEL. Throws one error that lists every problem. */
export function readOptions(env: Record<string, string | undefined>): Omit<PageServerOptions, 'directory'> {
  const problems: string[] = []
  const value = (name: string, fallback: string): string => env[name]?.trim() || fallback
  const portText = value('PORT', '8501')
  const port = Number(portText)
  if (!/^\d+$/.test(portText) || port > 65_535) problems.push(`PORT is "${portText}", want a number from 0 to 65535`)
  const host = value('HOST', '127.0.0.1')
  if (!/^[\w.:-]+$/.test(host)) problems.push(`HOST is "${host}", want an address or a host name such as 0.0.0.0`)
  const apiBaseUrls = value('API_BASE_URLS', 'http://127.0.0.1:8080/v1')
    .split(',')
    .map((url) => url.trim())
    .filter(Boolean)
  for (const url of apiBaseUrls) {
    if (url !== '*' && !isHttpUrl(url)) {
      problems.push(
        `API_BASE_URLS has "${url}", want http(s)://host[:port][/v1] without user or query, comma between, or *`,
      )
    }
  }
  const defaultModel = value('DEFAULT_MODEL', '')
  if (defaultModel.length > 200) problems.push(`DEFAULT_MODEL has ${defaultModel.length} characters, want at most 200`)
  if (problems.length > 0) throw new Error(`The page cannot start:\n${problems.map((text) => `- ${text}`).join('\n')}`)
  return { port, host, apiBaseUrls, defaultModel }
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === ''
}

function respond(
  request: IncomingMessage,
  response: ServerResponse,
  assets: ReadonlyMap<string, Asset>,
  policy: string,
): void {
  response.setHeader('content-security-policy', policy)
  response.setHeader('x-content-type-options', 'nosniff')
  response.setHeader('referrer-policy', 'no-referrer')
  response.setHeader('cross-origin-opener-policy', 'same-origin')
  response.setHeader('permissions-policy', 'camera=(), microphone=(), geolocation=()')
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    sendText(response, 405, 'This server only answers GET and HEAD.\n')
    return
  }
  const asset = assets.get(request.url?.split('?', 1)[0] ?? '')
  if (asset === undefined) sendText(response, 404, 'There is no such file. The page is at /.\n')
  else sendAsset(request, response, asset)
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}

function sendAsset(request: IncomingMessage, response: ServerResponse, asset: Asset): void {
  const isZipped = asset.zipped !== undefined && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
  const body = isZipped ? (asset.zipped ?? asset.body) : asset.body
  for (const [name, value] of Object.entries(asset.headers)) response.setHeader(name, value)
  if (asset.zipped !== undefined) response.setHeader('vary', 'accept-encoding')
  if (request.headers['if-none-match'] === asset.headers['etag']) {
    response.writeHead(304).end()
    return
  }
  if (isZipped) response.setHeader('content-encoding', 'gzip')
  response.writeHead(200, { 'content-length': body.length })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function loadAssets({ directory, apiBaseUrls, defaultModel }: PageServerOptions): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>()
  for (const name of listFiles(directory))
    assets.set(`/${name}`, createAsset(name, readFileSync(join(directory, name))))
  const index = assets.get('/index.html')
  if (index === undefined) {
    throw new Error(`No index.html in ${directory}: build the page first with "npm run build -w client-web"`)
  }
  assets.set('/', index)
  assets.set('/config.json', createAsset('config.json', Buffer.from(JSON.stringify({ apiBaseUrls, defaultModel }))))
  return assets
}

// Names that start with a dot (the build's own manifest) are not part of the page.
function listFiles(directory: string): string[] {
  let entries: ReturnType<typeof readEntries>
  try {
    entries = readEntries(directory)
  } catch (cause: unknown) {
    throw new Error(`Cannot read ${directory}: build the page first with "npm run build -w client-web"`, { cause })
  }
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((name) => !name.split('/').some((part) => part.startsWith('.')))
}

function readEntries(directory: string) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
}

function createAsset(name: string, body: Buffer): Asset {
  const isHashed = /^assets\/.+-[\w-]{8}\.\w+$/.test(name)
  return {
    body,
    zipped: body.length < zippedFromBytes ? undefined : gzipSync(body, { level: 9 }),
    headers: {
      'content-type': contentTypes[extname(name)] ?? 'application/octet-stream',
      'cache-control': isHashed ? 'public, max-age=31536000, immutable' : 'no-cache',
      etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
    },
  }
}

/** Runs the server of the folder until SIGTERM or SIGINT; failures end the process with status 1. */
export async function main(directory: string): Promise<void> {
  try {
    const server = await createPageServer({ ...readOptions(process.env), directory })
    const stop = (): void => void server.close()
    process.once('SIGTERM', stop)
    process.once('SIGINT', stop)
    console.log(JSON.stringify({ ready: true, url: server.url }))
  } catch (error: unknown) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}

if (import.meta.main) await main(join(import.meta.dirname, 'dist'))
