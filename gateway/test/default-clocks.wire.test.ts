/**
 * None of the time limits that Node and undici have by default (300 s for the head and the silence of an answer and for
 * receiving a request, 60 s for its head) is left in the gateway. All clocks run faster here: a proxy with the defaults
 * shows when they strike, requests with limits of 350 s show that the gateway's own strike after that, and those beside them
 * that have longer limits get their answers.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { it } from 'node:test'
import { waitUntil, withDeadline } from './deadline.ts'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { openRaw, type RawClient } from './raw-client.ts'
import { chatBody, chatPath, rawHeaders, readEvents, startPair } from './wire.ts'

/** So many times as fast. */
const factor = 150
const waitMs = 40_000
/** More than a day: whatever ends a request here is a default. */
const long = 100_000_000
const witnessMs = 350_000
const fastClock = new URL('fast-clock.mjs', import.meta.url).href
const env = { NODE_OPTIONS: `--import=${fastClock}`, HEARTH_TEST_CLOCK: String(factor) }

const timeouts = Object.fromEntries(
  [
    ...['streamFirstByteMs', 'plainFirstByteMs', 'idleMs', 'totalMs', 'connectMs', 'queueMs'],
    ...['headMs', 'bodyIdleMs', 'bodyTotalMs', 'callerStallMs'],
  ].map((name) => [name, long]),
)
const witness = { streamFirstByteMs: witnessMs, plainFirstByteMs: witnessMs, idleMs: witnessMs }

interface PlainProxy extends AsyncDisposable {
  readonly port: number
  /** The codes of its failures so far. */
  readonly failures: readonly string[]
}

async function startPlainProxy(engineUrl: string): Promise<PlainProxy> {
  const file = new URL('plain-proxy.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [file, engineUrl], {
    env: { ...env, PATH: process.env['PATH'] ?? '' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  const lines = createInterface({ input: child.stdout })
  const failures: string[] = []
  const port = Promise.withResolvers<number>()
  lines.on('line', (line) => {
    const said: { port?: number; failed?: string } = JSON.parse(line)
    if (said.port !== undefined) port.resolve(said.port)
    if (said.failed !== undefined) failures.push(said.failed)
  })
  return {
    port: await withDeadline(port.promise, 10_000, 'the plain proxy listens'),
    failures,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

const cases = ['silent stream', 'late stream', 'late answer'] as const
type Case = (typeof cases)[number]

/** One request of each case, so that the engine falls silent in the middle of the first one and before the others. */
async function askAll(engine: FakeEngine, port: number, key: string): Promise<Map<Case, Promise<string>>> {
  const answers = new Map<Case, Promise<string>>()
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  for (const name of cases) {
    const { running } = engine.counts()
    if (name === 'silent stream') engine.script({ stall: { afterEvents: 2 } })
    const body = chatBody({ stream: name !== 'late answer' })
    const answer = fetch(`http://127.0.0.1:${port}${chatPath}`, { method: 'POST', headers, body })
    const text = answer.then((response) => response.text())
    text.catch(() => {})
    answers.set(name, text)
    await engine.waitFor((counts) => counts.running === running + 1, `the ${name} is with the engine`, waitMs)
  }
  return answers
}

/** Two requests that are not whole yet: one lacks the end of its head, one the end of its body. */
async function beginTwo(
  port: number,
  gateway: Gateway,
): Promise<{ head: RawClient; body: RawClient; finish: () => void }> {
  const [head, body] = [await openRaw(port), await openRaw(port)]
  const text = chatBody()
  const lines = Object.entries({ ...rawHeaders(gateway), 'content-length': String(text.length) })
  const start = `POST ${chatPath} HTTP/1.1\r\nhost: a\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}`
  await head.write(start)
  await body.write(`${start}\r\n${text.slice(0, 20)}`)
  const finish = () => {
    void head.write(`\r\n${text}`)
    void body.write(text.slice(20))
  }
  return { head, body, finish }
}

const isWhole = (name: Case, text: string) =>
  name === 'late answer' ? text.includes('"finish_reason"') : readEvents(text.replace(/^:.*\n\n/gm, '')).done

it('no default cuts a silent stream, a late answer or a slow request: ours are in their place', async () => {
  const { engine, gateway } = await startPair({
    keys: ['patient', 'witness'],
    keySettings: { witness: { timeouts: witness } },
    sections: { timeouts, limits: { bodyBytesPerSecondMin: 0 } },
    env,
    readyMs: waitMs,
  })
  await using stack = new AsyncDisposableStack()
  stack.use(engine)
  stack.use(gateway)
  const plain = stack.use(await startPlainProxy(engine.url))
  engine.setDefault({ stall: 'head' })
  const slow = await beginTwo(gateway.port, gateway)
  const slowPlain = await beginTwo(plain.port, gateway)
  for (const client of [slow.head, slow.body, slowPlain.head, slowPlain.body]) stack.use(client)
  const patient = await askAll(engine, gateway.port, gateway.keys['patient'] ?? '')
  const witnesses = await askAll(engine, gateway.port, gateway.keys['witness'] ?? '')
  await askAll(engine, plain.port, '')

  // The defaults strike in the plain proxy,
  await waitUntil(
    () => plain.failures.filter((code) => code.startsWith('UND_ERR')).length === 3,
    waitMs,
    'undici’s defaults',
  )
  assert.deepEqual(plain.failures.filter((code) => code.startsWith('UND_ERR')).toSorted(), [
    'UND_ERR_BODY_TIMEOUT',
    'UND_ERR_HEADERS_TIMEOUT',
    'UND_ERR_HEADERS_TIMEOUT',
  ])
  for (const client of [slowPlain.head, slowPlain.body]) assert.equal((await client.readHead(waitMs)).status, 408)
  // the limits of the witness in the gateway, later than any default would,
  for (const [name, text] of witnesses)
    assert.match(await withDeadline(text, waitMs, name), /"code":"engine_(timeout|stalled)"/, name)

  // and what has time is as it was.
  engine.setDefault({ finish: 'stop' })
  engine.release()
  for (const [name, text] of patient) {
    const answer = await withDeadline(text, waitMs, name)
    assert.ok(isWhole(name, answer), `${name}: ${answer}`)
  }
  slow.finish()
  for (const client of [slow.head, slow.body]) assert.equal((await client.readHead(waitMs)).status, 200)
  console.log(`5 of 5 requests outlived the defaults, which cut 5 of 5 in a plain proxy, at ${factor} times the speed`)
})
