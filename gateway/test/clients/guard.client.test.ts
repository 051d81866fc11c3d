import { deepEqual, match, ok } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { watchContacts } from './contacts.ts'

const python = process.env['HEARTH_CLIENTS'] ?? process.env['HEARTH_OPENAIPYTHON']
const missing = process.env['HEARTH_OPENAIPYTHON_MISSING'] ?? 'HEARTH_OPENAIPYTHON names no Python'
const PYTHONPATH = join(import.meta.dirname, 'python/guard')

/** Runs a line of Python under the guard; the last line of what it complains about, and what the guard says. */
async function run(line: string): Promise<{ readonly error: string; readonly guard: readonly string[] }> {
  const failed = await promisify(execFile)(python ?? '', ['-c', line], { env: { PYTHONPATH } }).then(
    () => ({ stderr: '' }),
    (error: { stderr: string }) => error,
  )
  const lines = failed.stderr.trim().split('\n')
  return { error: lines.at(-1) ?? '', guard: lines.filter((text) => text.startsWith('guard refused ')) }
}

describe('the watch over the clients of this process', () => {
  it('sees every address that is tried but those of loopback', async () => {
    using watch = watchContacts()
    for (const host of ['192.0.2.1', '127.0.0.1', '::1']) {
      const socket = connect({ host, port: 1 }).on('error', () => {})
      await once(socket, 'connectionAttempt')
      socket.destroy()
    }
    deepEqual([...watch.addresses], ['192.0.2.1'])
  })
})

describe('the guard of the Python clients', { skip: python === undefined ? missing : false }, () => {
  it('refuses every address but loopback, before a byte has left', async () => {
    for (const [host, line] of [
      ['192.0.2.1', 'import socket; socket.create_connection(("192.0.2.1", 443))'],
      ['2001:db8::1', 'import socket; socket.create_connection(("2001:db8::1", 443))'],
      ['example.invalid', 'import socket; socket.getaddrinfo("example.invalid", 443)'],
      ['example.invalid', 'import urllib.request; urllib.request.urlopen("https://example.invalid")'],
      ['192.0.2.1', 'import asyncio; asyncio.run(asyncio.open_connection("192.0.2.1", 443))'],
    ] as const) {
      const { error, guard } = await run(line)
      match(error, /only loopback may be reached/)
      deepEqual(guard, [`guard refused ${host}`])
    }
  })

  it('lets loopback be tried', async () => {
    const { error, guard } = await run('import socket; socket.create_connection(("127.0.0.1", 1))')
    ok(error.includes('Connection refused'), error)
    deepEqual(guard, [])
  })
})
