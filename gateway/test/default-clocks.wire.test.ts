/**
 * None of the 300 s that Node and undici have by default for the head and for the silence of an answer, and for receiving a
 * request, is left in the gateway. All clocks run faster here: a proxy with the defaults shows when they strike, requests
 * with limits of 750 s that the gateway's own strike after that, and those beside them that have longer get their answers.
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
import { chatBody, chatPath, model, rawHeaders, readEvents, startPair } from './wire.ts'

/** So many times as fast. */
const factor = 300
const waitMs = 40_000
/** More than a day: whatever ends a request here is a default. */
const long = 100_000_000
/** Far behind the defaults: undici counts by ticks of a millisecond here, which come late on a busy machine. */
const witnessMs = 750_000
const fastClock = new URL('fast-clock.mjs', import.meta.url).href
const env = { NODE_OPTIONS: `--import=${fastClock}`, HEARTH_TEST_CLOCK: String(factor) }

/** A head may take 240 s: Node refuses more than a request may take, where that is limited. */
const headMs = 240_000
const longOnes = Object.fromEntries(
  [
    ...['streamFirstByteMs', 'plainFirstByteMs', 'idleMs', 'totalMs', 'connectMs', 'queueMs'],
    ...['bodyIdleMs', 'bodyTotalMs', 'callerStallMs'],
  ].map((name) => [name, long]),
)
const timeouts = { ...longOnes, headMs }
const witness = { streamFirstByteMs: witnessMs, plainFirstByteMs: witnessMs, idleMs: witnessMs }
const models = [
  { id: model, engine: 'gpu' },
  { id: 'witness', engine: 'gpu', served: model, timeouts: witness },
]

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
async function askAll(
  engine: FakeEngine,
  gateway: Gateway,
  port: number,
  name: string,
): Promise<Map<Case, Promise<string>>> {
  const answers = new Map<Case, Promise<string>>()
  const headers = rawHeaders(gateway)
  for (const one of cases) {
    const { running } = engine.counts()
    if (one === 'silent stream') engine.script({ stall: { afterEvents: 2 } })
    const body = chatBody({ model: name, stream: one !== 'late answer' })
    const answer = fetch(`http://127.0.0.1:${port}${chatPath}`, { method: 'POST', headers, body })
    const text = answer.then((response) => response.text())
    text.catch(() => {})
    answers.set(one, text)
    await engine.waitFor((counts) => counts.running === running + 1, `the ${one} is with the engine`, waitMs)
  }
  return answers
}

/** A request that lacks the end of its body; `finish` sends it. */
async function beginUpload(
  port: number,
  gateway: Gateway,
): Promise<{ client: RawClient; finish: () => Promise<void> }> {
  const client = await openRaw(port)
  const text = chatBody()
  const headers = { ...rawHeaders(gateway), 'content-length': String(text.length) }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  await client.write(`POST ${chatPath} HTTP/1.1\r\nhost: a\r\n${lines.join('')}\r\n${text.slice(0, 20)}`)
  return { client, finish: () => client.write(text.slice(20)) }
}

const isWhole = (name: Case, text: string) =>
  name === 'late answer' ? text.includes('"finish_reason"') : readEvents(text.replace(/^:.*\n\n/gm, '')).done

it('no default cuts a silent stream, a late answer or a slow upload: ours are in their place', async () => {
  await using stack = new AsyncDisposableStack()
  const { engine, gateway } = await startPair({
    sections: { models, timeouts, limits: { bodyBytesPerSecondMin: 0 } },
    env,
    readyMs: waitMs,
  })
  stack.use(engine)
  stack.use(gateway)
  const plain = stack.use(await startPlainProxy(engine.url))
  engine.setDefault({ stall: 'head' })
  const upload = await beginUpload(gateway.port, gateway)
  const plainUpload = await beginUpload(plain.port, gateway)
  for (const { client } of [upload, plainUpload]) stack.use(client)
  const patient = await askAll(engine, gateway, gateway.port, model)
  const witnesses = await askAll(engine, gateway, gateway.port, 'witness')
  await askAll(engine, gateway, plain.port, model)

  // The defaults strike in the plain proxy,
  const strikes = () => plain.failures.filter((code) => code.startsWith('UND_ERR')).toSorted()
  await waitUntil(() => strikes().length === cases.length, waitMs, 'the defaults of undici')
  assert.deepEqual(strikes(), ['UND_ERR_BODY_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT'])
  assert.equal((await plainUpload.client.readHead(waitMs)).status, 408)
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
  await upload.finish()
  assert.equal((await upload.client.readHead(waitMs)).status, 200)
  console.log(`4 of 4 requests outlived the defaults, which cut 4 of 4 in a plain proxy, at ${factor} times the speed`)
})
