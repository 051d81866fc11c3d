import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Catalog } from './metrics/catalog.ts'
import { chooseFormat, contentTypes, MetricsText } from './metrics/render.ts'

/** For the head of a question, for a reader that does not read, and between two questions. */
const waitMs = 10_000

/**
 * The listener for the operator, apart from the public one: GET /metrics, and GET /health, which answers when the public
 * one is full, too. All else is 404. Listens to nothing yet; whoever starts it closes it.
 */
export function createAdmin(catalog: Catalog): Server {
  const metrics = new MetricsText(catalog)
  const server = createServer({ requestTimeout: waitMs, headersTimeout: waitMs }, (request, response) => {
    request.resume()
    const [path] = (request.url ?? '').split('?', 1)
    if (path !== '/metrics' && path !== '/health')
      return refuse(response, 404, 'There are GET /metrics and GET /health.')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      return refuse(response, 405, 'Only GET and HEAD are answered.')
    }
    if (path === '/metrics') return void answerMetrics(metrics, request, response)
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    response.end('{"status":"ok"}')
  })
  server.timeout = waitMs
  return server
}

async function answerMetrics(metrics: MetricsText, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const format = chooseFormat(request.headers.accept)
  try {
    const text = request.method === 'HEAD' ? '' : await metrics.read(format)
    response.writeHead(200, {
      'content-type': contentTypes[format],
      'cache-control': 'no-store',
      vary: 'accept',
    })
    response.end(text)
  } catch (error) {
    refuse(response, 500, `The metrics cannot be read: ${String(error)}`)
  }
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
}
