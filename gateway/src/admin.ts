import { createServer, type Server } from 'node:http'
import type { Registry } from './metrics.ts'

/**
 * The listener for the operator, apart from the public one: GET /metrics, and GET /health, which answers when the public
 * one is full, too. All else is 404. Listens to nothing yet; whoever starts it closes it.
 */
export function createAdmin(registry: Registry): Server {
  return createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
    request.resume()
    if (request.method === 'GET' && request.url === '/health') {
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
      response.end('{"status":"ok"}')
      return
    }
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response
        .writeHead(404, { 'content-type': 'text/plain; charset=utf-8' })
        .end('There are GET /metrics and GET /health.\n')
      return
    }
    response
      .writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' })
      .end(registry.render())
  })
}
