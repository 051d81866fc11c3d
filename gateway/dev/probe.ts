import { request } from 'node:http'

const probeTimeoutMs = 5_000

export interface Probe {
  readonly port: number
  readonly path: string
  readonly method?: 'GET' | 'POST'
  /** Host header; left out: 127.0.0.1. */
  readonly host?: string
  readonly body?: string
  readonly signal?: AbortSignal
}

/** Asks a server on loopback once and returns the status; throws when it cannot be reached or takes too long. */
export function probeStatus({ port, path, method = 'GET', host, body, signal }: Probe): Promise<number> {
  return new Promise((resolve, reject) => {
    const over = AbortSignal.timeout(probeTimeoutMs)
    const outgoing = request({
      host: '127.0.0.1',
      port,
      path,
      method,
      agent: false,
      headers: {
        ...(host === undefined ? {} : { host }),
        ...(body === undefined ? {} : { 'content-length': body.length }),
      },
      signal: signal === undefined ? over : AbortSignal.any([over, signal]),
    })
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      response.on('error', reject)
      response.on('end', () => resolve(response.statusCode ?? 0))
      response.resume()
    })
    outgoing.end(body)
  })
}
