/**
 * A proxy as one writes it in ten lines, with every time limit as Node and undici have it by default. What it cuts, a
 * default cuts. `node gateway/test/plain-proxy.ts ENGINE_URL` prints its port, then the code of each failure.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { request } from 'undici'

async function pass(incoming: IncomingMessage, outgoing: ServerResponse, engineUrl: string): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  const { statusCode, body } = await request(`${engineUrl}${incoming.url}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: Buffer.concat(chunks),
  })
  outgoing.writeHead(statusCode)
  await pipeline(body, outgoing)
}

function say(line: object): void {
  console.log(JSON.stringify(line))
}

const [engineUrl = ''] = process.argv.slice(2)
const server = createServer((incoming, outgoing) => {
  pass(incoming, outgoing, engineUrl).catch((error: Error) => {
    say({ failed: Reflect.get(error, 'code') ?? error.message })
    outgoing.destroy()
  })
})
server.listen(0, '127.0.0.1', () => say({ port: (server.address() as AddressInfo).port }))
process.stdin.once('end', () => process.exit(0)).resume()
