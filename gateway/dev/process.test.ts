import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { waitUntil } from '../test/deadline.ts'
import { type Leash, openLeash } from './leash.ts'
import { BusyPortError, findFreePort, requireFreePort } from './ports.ts'
import { type ProcessSpec, StartError, startProcess } from './process.ts'
import { isProcessAlive } from './setup/process-alive.mjs'
import { claimState } from './state-claim.ts'
import { type ProcessNews, supervise } from './supervise.ts'

let logDir: string
let leash: Leash

before(() => {
  logDir = mkdtempSync(join(tmpdir(), 'hearth-process-'))
  leash = openLeash()
})

after(async () => {
  await leash.close()
  rmSync(logDir, { recursive: true, force: true })
})

const saysReady = `console.log('{"ready":true,"pid":' + process.pid + '}'); setInterval(() => {}, 1000)`

function node(name: string, script: string, more: Partial<ProcessSpec> = {}): ProcessSpec {
  const common = { env: process.env, ready: { by: 'line' }, readyTimeoutMs: 10_000, stopTimeoutMs: 5_000 } as const
  return { name, command: process.execPath, args: ['-e', script], ...common, ...more }
}

describe('a process of the chain', () => {
  it('is ready when it says so, writes its log, and is gone after stop', async () => {
    const started = await startProcess(node('good', `console.error('hello'); ${saysReady}`), { logDir, leash })
    assert.equal(started.facts['pid'], started.pid)
    assert.deepEqual(await started.stop(), { code: null, signal: 'SIGTERM' })
    assert.equal(isProcessAlive(started.pid), false)
    assert.match(readFileSync(join(logDir, 'good.log'), 'utf8'), /hello/)
  })

  it('is killed with its own children when it does not heed SIGTERM', async () => {
    const stubborn = `process.on('SIGTERM', () => {})
      const child = require('child_process').spawn('sleep', ['600'], { stdio: 'inherit' })
      console.log(JSON.stringify({ ready: true, child: child.pid })); setInterval(() => {}, 1000)`
    const started = await startProcess(node('stubborn', stubborn, { stopTimeoutMs: 200 }), { logDir, leash })
    assert.deepEqual(await started.stop(), { code: null, signal: 'SIGKILL' })
    assert.equal(isProcessAlive(started.pid), false)
    await waitUntil(() => !isProcessAlive(Number(started.facts['child'])), 2_000, 'the grandchild is gone')
  })

  it('that ends too early is reported with its last words', async () => {
    const early = node('early', `console.error('no such model'); process.exit(7)`)
    await assert.rejects(startProcess(early, { logDir, leash }), (error) => {
      assert.ok(error instanceof StartError)
      assert.match(error.message, /early did not start: it ended with status 7[\s\S]*no such model[\s\S]*early\.log/)
      return true
    })
  })

  it('that is not installed is reported by name', async () => {
    const missing = node('missing', '', { command: '/nonexistent/program' })
    await assert.rejects(startProcess(missing, { logDir, leash }), /missing did not start[\s\S]*ENOENT/)
  })

  it('that never gets ready is ended at its deadline', async () => {
    const slow = node('slow', `console.log(process.pid); setInterval(() => {}, 1000)`, { readyTimeoutMs: 500 })
    await assert.rejects(startProcess(slow, { logDir, leash }), /slow was not ready within 500 ms/)
    const pid = Number(readFileSync(join(logDir, 'slow.log'), 'utf8'))
    assert.ok(pid > 0)
    assert.equal(isProcessAlive(pid), false)
  })
})

describe('supervision', () => {
  it('brings back what dies, and what must come along with it', async () => {
    const news: ProcessNews[] = []
    const common = { logDir, leash, restart: true, onNews: (item: ProcessNews) => void news.push(item) }
    const first = await supervise({ ...common, spec: () => node('first', saysReady) })
    const second = await supervise({ ...common, spec: () => node('second', saysReady) })
    first.takeAlong(second)
    const pids = [first.pid(), second.pid()]
    process.kill(pids[0] ?? 0, 'SIGKILL')
    await waitUntil(() => first.restarts() === 1 && second.restarts() === 1 && second.pid(), 10_000, 'both run again')
    assert.ok(first.pid() !== pids[0] && second.pid() !== pids[1])
    assert.ok(news.some(({ name, kind }) => name === 'first' && kind === 'ended'))
    const last = [first.pid() ?? 0, second.pid() ?? 0]
    await Promise.all([first.stop(), second.stop()])
    assert.deepEqual(last.map(isProcessAlive), [false, false])
  })

  it('leaves a dead process dead where restarts are off', async () => {
    const ended = Promise.withResolvers<void>()
    const onNews = ({ kind }: ProcessNews) => kind === 'ended' && ended.resolve()
    const only = await supervise({ logDir, leash, restart: false, onNews, spec: () => node('only', saysReady) })
    process.kill(only.pid() ?? 0, 'SIGKILL')
    await ended.promise
    assert.equal(only.pid(), undefined)
    await only.stop()
    assert.equal(only.restarts(), 0)
  })
})

describe('the leash', () => {
  it('ends what is still running when its holder is killed', async () => {
    const holder = `const { openLeash } = await import(${JSON.stringify(new URL('leash.ts', import.meta.url).href)})
      const { spawn } = await import('node:child_process')
      const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' })
      openLeash().add(child.pid)
      console.log(JSON.stringify({ ready: true, child: child.pid })); setInterval(() => {}, 1000)`
    const started = await startProcess(node('holder', holder), { logDir, leash })
    const child = Number(started.facts['child'])
    assert.equal(isProcessAlive(child), true)
    await started.kill()
    await waitUntil(() => !isProcessAlive(child), 5_000, 'the child of the killed holder is gone')
  })
})

describe('ports', () => {
  it('names who holds a busy port and the flag that chooses another', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    await assert.rejects(requireFreePort(port, 'the API', '--port N'), (error) => {
      assert.ok(error instanceof BusyPortError)
      const who = process.platform === 'linux' ? `process ${process.pid}` : 'another program'
      assert.ok(error.message.includes(`port ${port}, wanted for the API, is held by ${who}`), error.message)
      return error.message.endsWith('choose another with --port N')
    })
    server.close()
    await once(server, 'close')
    await requireFreePort(port, 'the API', '--port N')
  })

  it('gives no free port twice', async () => {
    const given = new Set<number>()
    const ports = await Promise.all(Array.from({ length: 20 }, () => findFreePort(given)))
    assert.equal(new Set(ports).size, 20)
  })
})

describe('a state folder', () => {
  it('belongs to one chain at a time, and to nobody when its owner is gone', () => {
    const release = claimState(logDir)
    assert.throws(() => claimState(logDir), new RegExp(`a chain runs already in .* \\(process ${process.pid}\\)`))
    release()
    writeFileSync(join(logDir, 'chain.pid'), '999999999\n')
    claimState(logDir)()
  })
})
