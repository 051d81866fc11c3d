import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { nowMs, waitUntil, withDeadline } from './deadline.ts'
import type { Behaviour } from './fake-engine.ts'
import { exchangeRaw, openRaw } from './raw-client.ts'
import {
  assertError,
  chat,
  chatBody,
  chatPath,
  largeBody,
  model,
  rawHeaders,
  readEvents,
  withoutComments,
  withPair,
} from './wire.ts'

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')
const impatient = { timeouts: { streamFirstByteMs: 1000, plainFirstByteMs: 1000, idleMs: 1000 } }
/** The promise of the architecture: the engine sees a departure within this time. */
const abortMs = 250

describe('a streamed answer', () => {
  it('reaches the caller byte for byte at any slicing, with every legal form of event', () =>
    withPair({}, async ({ engine, gateway }) => {
      const forms: Behaviour[] = [
        {},
        { badSse: 'crlf' },
        { badSse: 'comments' },
        { badSse: 'fields' },
        { badSse: 'multi-line-data' },
      ]
      for (const form of forms) {
        for (const sliceBytes of [1, 7, 4096]) {
          engine.script({ ...form, sliceBytes, tokens: ['é', '漢字', '😀', ' and', ' more'] })
          const usage = { stream_options: { include_usage: true } }
          const response = await chat(gateway, { stream: true, max_tokens: 16, ...usage })
          const bytes = Buffer.from(await response.arrayBuffer())
          assert.equal(
            sha256(withoutComments(bytes)),
            engine.requests.at(-1)?.sent?.sha256,
            `${form.badSse ?? 'plain'} in pieces of ${sliceBytes}`,
          )
        }
      }
    }))

  it('arrives while the engine still writes', () =>
    withPair({}, async ({ engine, gateway }) => {
      engine.script({ tokens: 3, stall: { afterEvents: 2 } })
      const response = await chat(gateway, { stream: true })
      const reader = response.body?.getReader()
      const first = await withDeadline(
        reader?.read() ?? Promise.reject(new Error('no body')),
        2_000,
        'the first event arrives',
      )
      assert.match(Buffer.from(first.value ?? []).toString(), /^data: /)
      assert.equal(engine.counts().running, 1)
      engine.release()
      while (!(await reader?.read())?.done);
    }))

  for (const [how, behaviour] of Object.entries({
    'is reset': { cut: { how: 'rst', at: 900 } },
    'hangs up': { cut: { how: 'fin', at: 900 } },
    'hangs up within an event': { cut: { how: 'fin', at: 1001 } },
    'ends cleanly without its terminal event': { noDone: true },
    'falls silent': { stall: { afterEvents: 3 } },
    'reports its own death and then [DONE], as vLLM does': { dies: { afterEvents: 3 } },
  } satisfies Record<string, Behaviour>)) {
    it(`ends with one error event and no [DONE] when the engine ${how}`, () =>
      withPair({ sections: impatient }, async ({ engine, gateway }) => {
        engine.script({ tokens: 12, ...behaviour })
        const response = await chat(gateway, { stream: true })
        assert.equal(response.status, 200)
        const { data, errors, done } = readEvents(await withDeadline(response.text(), 5_000, 'the stream ends'))
        assert.ok(data.length >= 1, 'nothing of the answer was passed on')
        assert.equal(done, false, 'a cut answer passed as whole')
        assert.deepEqual(
          errors.map(({ code }) => code),
          [how === 'falls silent' ? 'engine_stalled' : how.startsWith('reports') ? 'engine_error' : 'engine_died'],
        )
      }))
  }

  it('says how it was cut in the one record of the request', () =>
    withPair({}, async ({ engine, gateway }) => {
      engine.script({ tokens: 12, cut: { how: 'rst', at: 900 } })
      await (await chat(gateway, { stream: true })).text()
      const record = await gateway.waitForLog(({ outcome }) => outcome !== undefined, 'the record')
      assert.equal(record['outcome'], 'engine_died')
    }))
})

describe('a plain answer', () => {
  it('reaches the caller byte for byte', () =>
    withPair({}, async ({ engine, gateway }) => {
      engine.script({ echo: { answerBytes: 3_000_000 } })
      const bytes = Buffer.from(await (await chat(gateway)).arrayBuffer())
      assert.equal(sha256(bytes), engine.requests.at(-1)?.sent?.sha256)
    }))

  it('is never cut silently: a caller sees an error, or a broken connection where a long one had begun', () =>
    withPair({}, async ({ engine, gateway }) => {
      for (const behaviour of [
        { cut: { how: 'rst', at: 300 } },
        { cut: { how: 'fin', at: 300 } },
        { lengthOff: 50 },
        { cut: { how: 'fin', at: 300 }, closeDelimited: '1.1' },
      ] satisfies Behaviour[]) {
        engine.script(behaviour)
        await assertError(await chat(gateway), 502, 'engine_died')
        const late = behaviour.cut === undefined ? {} : { cut: { ...behaviour.cut, at: 5_000_000 } }
        engine.script({ ...behaviour, ...late, echo: { answerBytes: 6_000_000 } })
        await using client = await openRaw(gateway.port)
        await client.send({ path: chatPath, headers: rawHeaders(gateway), body: chatBody() })
        const head = await client.readHead()
        // A reset takes along what was on its way, which may be all that would have begun the answer.
        if (behaviour.cut?.how === 'rst' && head.status === 502) continue
        assert.equal(head.status, 200, JSON.stringify(behaviour))
        assert.notEqual((await client.readBody(head)).ended, 'complete', JSON.stringify(behaviour))
      }
    }))
})

describe('an answer that is none', () => {
  for (const [what, behaviour, status, code] of [
    ['hangs up before it answers', { cut: { how: 'fin', at: 'head' } }, 502, 'engine_died'],
    ['is reset before it answers', { cut: { how: 'rst', at: 'head' } }, 502, 'engine_died'],
    ['never begins', { stall: 'head' }, 504, 'engine_timeout'],
    ['promises a body and sends none of it', { cut: { how: 'fin', at: 0 } }, 502, 'engine_died'],
    ['redirects', { redirect: { status: 302, location: 'http://169.254.169.254/' } }, 502, 'engine_bad_answer'],
    ['compresses', { gzip: true }, 502, 'engine_bad_answer'],
    ['sends an endless head', { hugeHeaderBytes: 100_000 }, 502, 'engine_bad_answer'],
    ['speaks no HTTP', { raw: 'SSH-2.0-OpenSSH_9.2\r\n' }, 502, 'engine_bad_answer'],
    ['fails', { error: { status: 500, body: 'object' } }, 502, 'engine_error'],
    ['fails with a string', { error: { status: 500, body: 'string' } }, 502, 'engine_error'],
    ['fails with nothing', { error: { status: 500, body: 'empty' } }, 502, 'engine_error'],
    ['is not there, says the ingress', { error: { status: 502, body: 'text' } }, 503, 'engine_unreachable'],
    ['is not there, says the ingress in HTML', { error: { status: 503, body: 'html' } }, 503, 'engine_unreachable'],
    [
      'is busy',
      { error: { status: 503, body: 'object', message: 'The engine is currently busy.' } },
      429,
      'queue_full',
    ],
    ['dies', { dies: { afterEvents: 0 } }, 502, 'engine_error'],
  ] satisfies [string, Behaviour, number, string][]) {
    it(`becomes ${status} ${code} when the engine ${what}`, () =>
      withPair({ sections: impatient }, async ({ engine, gateway }) => {
        for (const stream of [false, true]) {
          // A stream has its head out by then; how it ends is told above.
          if (stream && (behaviour.dies !== undefined || what.startsWith('promises'))) continue
          engine.script(behaviour)
          await assertError(await chat(gateway, { stream }), status, code)
        }
      }))
  }

  it('becomes 503 engine_unreachable when nobody listens', () =>
    withPair({ engineConfig: { url: 'http://127.0.0.1:9' } }, async ({ gateway }) => {
      await assertError(await chat(gateway), 503, 'engine_unreachable')
    }))

  it("keeps the engine's words where the caller made the mistake, but never long runs of base64", () =>
    withPair({}, async ({ engine, gateway }) => {
      engine.script({ error: { status: 400, body: 'object', message: `bad picture ${'QUJD'.repeat(1000)} end` } })
      const error = await assertError(await chat(gateway), 400, 'invalid_request')
      assert.equal(error['message'], 'bad picture … end')
      const tooLong = await chat(gateway, { messages: [{ role: 'user', content: 'word '.repeat(20_000) }] })
      await assertError(tooLong, 400, 'context_length_exceeded')
    }))
})

describe('a caller who leaves', () => {
  for (const [when, stream, behaviour] of [
    ['before the answer begins', false, { stall: 'head' }],
    ['before the stream begins', true, { stall: 'head' }],
    ['in the middle of a stream', true, { forever: true }],
    ['in the silence of a stream', true, { stall: { afterEvents: 2 } }],
    ['in the middle of a plain answer', false, { stall: { atByte: 100 } }],
  ] satisfies [string, boolean, Behaviour][]) {
    it(`frees the engine within ${abortMs} ms when it is ${when}`, () =>
      withPair({}, async ({ engine, gateway }) => {
        engine.script(behaviour)
        await using client = await openRaw(gateway.port)
        await client.send({ path: chatPath, headers: rawHeaders(gateway), body: chatBody({ stream }) })
        await engine.waitFor(({ running }) => running === 1, 'the engine has the request')
        // Of a plain answer nothing goes out before it is whole.
        if (when.includes('stream') && !when.includes('before')) await client.readHead()
        const leftMs = nowMs()
        client.destroy()
        await engine.waitFor(({ aborts, socketsOpen }) => aborts === 1 && socketsOpen === 0, 'the engine sees it')
        const seenMs = (engine.aborts()[0]?.endedAtMs ?? Number.POSITIVE_INFINITY) - leftMs
        assert.ok(seenMs <= abortMs, `the engine saw it after ${seenMs} ms`)
        const record = await gateway.waitForLog(({ outcome }) => outcome !== undefined, 'the record')
        assert.equal(record['status'], 499)
        assert.equal(record['outcome'], 'client_gone')
      }))
  }

  it('reaches no engine when it left while its body was still coming', () =>
    withPair({}, async ({ engine, gateway }) => {
      await using client = await openRaw(gateway.port)
      const head = Object.entries(rawHeaders(gateway)).map(([name, value]) => `${name}: ${value}\r\n`)
      await client.write(
        `POST ${chatPath} HTTP/1.1\r\nHost: x\r\n${head.join('')}Content-Length: 100000\r\n\r\n{"model":"${model}",`,
      )
      client.reset()
      await gateway.waitForLog(({ outcome }) => outcome === 'client_gone', 'the record of the departure')
      assert.equal(engine.counts().requests, 0)
    }))
})

describe('the line to the engine', () => {
  it('lets no more in than the capacity, keeps the order, and frees the place of who leaves', () =>
    withPair({ engineConfig: { capacity: 1 } }, async ({ engine, gateway }) => {
      engine.script({ stall: 'head' })
      const first = chat(gateway, { stop: 'first' })
      await engine.waitFor(({ running }) => running === 1, 'the first is at work')
      await using leaver = await openRaw(gateway.port)
      await leaver.send({ path: chatPath, headers: rawHeaders(gateway), body: chatBody({ stop: 'leaver' }) })
      const second = chat(gateway, { stop: 'second' })
      leaver.destroy()
      await gateway.waitForLog(({ outcome }) => outcome === 'client_gone', 'the leaver is gone')
      engine.release()
      await Promise.all([first, second].map(async (answer) => (await answer).text()))
      const stops = engine.requests.map(({ json }) => (json as { stop: string }).stop)
      assert.deepEqual(stops, ['first', 'second'])
      assert.equal(engine.counts().peakRunning, 1)
    }))

  it('refuses with 429 and a time to come back when it is full', () =>
    withPair({ engineConfig: { capacity: 1 }, sections: { limits: { queueMax: 0 } } }, async ({ engine, gateway }) => {
      engine.script({ stall: 'head' })
      const first = chat(gateway)
      await engine.waitFor(({ running }) => running === 1, 'the first is at work')
      await assertError(await chat(gateway), 429, 'queue_full')
      engine.release()
      await (await first).text()
    }))

  it('ends the wait with 503 when it takes too long', () =>
    withPair(
      { engineConfig: { capacity: 1 }, sections: { timeouts: { queueMs: 50 } } },
      async ({ engine, gateway }) => {
        engine.script({ stall: 'head' })
        const first = chat(gateway)
        await engine.waitFor(({ running }) => running === 1, 'the first is at work')
        await assertError(await chat(gateway), 503, 'queue_timeout')
        engine.release()
        await (await first).text()
      },
    ))
})

describe('large bodies', () => {
  it('reach the engine unchanged: 25 MB announced, 25 MB in chunks', () =>
    withPair({ engineConfig: { kind: 'openai' } }, async ({ engine, gateway }) => {
      const body = Buffer.from(largeBody(25_000_000))
      for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
        engine.script({ echo: {} })
        const chunked = 'transfer-encoding' in headers
        const sent = chunked ? new Blob([body]).stream() : body
        const response = await chat(gateway, {}, { body: sent, ...(chunked ? { duplex: 'half' } : {}) })
        assert.equal(response.status, 200, await response.text())
        assert.equal(engine.requests.at(-1)?.body?.sha256, sha256(body), chunked ? 'chunked' : 'announced')
      }
    }))

  it('beyond the budget of the process are refused at once with 503 and a time to come back', () =>
    withPair(
      { sections: { limits: { bodyBytesMax: 1_500_000, bodyBytesInFlight: 2_000_000 } } },
      async ({ engine, gateway }) => {
        engine.script({ stall: 'head' })
        const body = largeBody(1_200_000)
        const first = chat(gateway, {}, { body })
        await waitUntil(() => engine.requests[0]?.phase === 'head', 5_000, 'the engine has the whole body of the first')
        const second = await exchangeRaw(gateway.port, { path: chatPath, headers: rawHeaders(gateway), body })
        assert.equal(second.head.status, 503)
        assert.match(second.text, /"code":"body_budget"/)
        engine.release()
        await (await first).text()
        assert.equal((await chat(gateway, {}, { body })).status, 200)
      },
    ))
})

describe('a caller who reads slowly', () => {
  it('pauses the engine instead of filling the memory of the gateway', () =>
    withPair({}, async ({ engine, gateway }) => {
      const answerBytes = 64 * 1024 * 1024
      engine.script({ echo: { answerBytes } })
      await using client = await openRaw(gateway.port)
      await client.send({ path: chatPath, headers: rawHeaders(gateway), body: chatBody() })
      const head = await client.readHead()
      client.socket.pause()
      const sent = () => client.socket.bytesRead
      await waitUntil(() => settled(sent), 5_000, 'the flow stops')
      assert.equal(engine.counts().running, 1, 'the whole answer went into buffers')
      client.socket.resume()
      const body = await client.readBody(head, 20_000)
      assert.equal(body.ended, 'complete')
      assert.equal(sha256(body.bytes), engine.requests.at(-1)?.sent?.sha256)
    }))
})

/** Whether a counter stood still for a while: nothing more arrives by itself. */
async function settled(read: () => number): Promise<boolean> {
  const before = read()
  const timer = AbortSignal.timeout(200)
  await once(timer, 'abort')
  return read() === before
}
