// Loaded with --import: every clock that this process sets runs HEARTH_TEST_CLOCK times as fast, the defaults of Node and of
// undici too, so that five minutes pass in seconds. The kernel's clock cannot be hurried: what Node's server counts by it
// (its options, given or not) is divided instead, which comes to the same.
import http from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers'

const factor = Number(process.env['HEARTH_TEST_CLOCK'])
if (!(factor > 1)) throw new Error(`HEARTH_TEST_CLOCK: "${process.env['HEARTH_TEST_CLOCK']}" is not a number above 1`)

for (const name of ['setTimeout', 'setInterval']) {
  const real = timers[name]
  const fast = (callback, ms, ...args) => real(callback, ms === undefined ? ms : ms / factor, ...args)
  Object.defineProperties(fast, Object.getOwnPropertyDescriptors(real))
  timers[name] = fast
  globalThis[name] = fast
}

const now = performance.now.bind(performance)
Object.defineProperty(performance, 'now', { value: () => now() * factor })

const createServer = http.createServer
const checkMs = 30_000
http.createServer = (...args) => {
  const [options, listener] = typeof args[0] === 'object' ? args : [{}, args[0]]
  const { connectionsCheckingInterval = checkMs } = options
  const server = createServer(
    { ...options, connectionsCheckingInterval: Math.ceil(connectionsCheckingInterval / factor) },
    listener,
  )
  for (const name of ['requestTimeout', 'headersTimeout', 'keepAliveTimeout']) server[name] /= factor
  return server
}
syncBuiltinESMExports()
