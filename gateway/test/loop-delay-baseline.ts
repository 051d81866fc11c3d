/** The server that nobody should write: it reads each body by JSON.parse. Tells its parent its port. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    response.end(chunks.length === 0 ? 'ok' : nameOf(Buffer.concat(chunks).toString()))
  })
})

function nameOf(text: string): string {
  try {
    return String(JSON.parse(text).model)
  } catch (error) {
    return String(error).slice(0, 100)
  }
}

process.on('disconnect', () => process.exit())
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
