import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { waitUntil } from './deadline.ts'
import { chatText } from './framing-cases.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { type HostileAnswer, hostileAnswer, kindNames, plainBody, streamBody } from './hostile-answers.ts'
import { ErrorBodies } from './hygiene.ts'
import { throwAt } from './malformed.ts'
import { type RawUpstream, type SeenRequest, startRawUpstream } from './raw-upstream.ts'
import { chanceFrom, inParallel, seedOf, Tallies } from './seeded.ts'
import { finalAnswers } from './strict-http.ts'
import { chatBody, model, withoutComments } from './wire.ts'

const nonceIn = /n\d+x[0-9a-f]+x/
const noncesIn = new RegExp(nonceIn, 'g')
const count = 2_000
const width = 64
const answerBytesMax = 1024 * 1024
/** What a caller may be told of an engine that misbehaves; a 500 would say that we do. */
const meantCodes = new Set([
  ...['engine_bad_answer', 'engine_died', 'engine_error', 'engine_unreachable', 'engine_timeout', 'engine_stalled'],
  ...['answer_too_large', 'invalid_request', 'queue_full', 'engine_key_refused'],
])

describe('R08 a hostile engine', () => {
  const answers = new Map<string, HostileAnswer>()
  let upstream: RawUpstream
  let trap: RawUpstream
  let gateway: Gateway
  before(async () => {
    trap = await startRawUpstream(() => ({ mark: 'trap', writes: [], ending: 'fin' }))
    upstream = await startRawUpstream((request) => planFor(request, answers))
    const timeouts = { streamFirstByteMs: 4_000, plainFirstByteMs: 4_000, idleMs: 4_000 }
    gateway = await startGateway({
      config: {
        engines: [{ name: 'gpu', url: upstream.url, kind: 'vllm', capacity: 256 }],
        models: [{ id: model, engine: 'gpu' }],
        limits: { answerBytesMax },
        timeouts,
      },
      env: { HEARTH_HOST: '127.0.0.1' },
    })
  })
  after(async () => {
    await assertNothingLeft(gateway)
    await upstream[Symbol.asyncDispose]()
    await trap[Symbol.asyncDispose]()
  })

  it(`gives its callers valid HTTP, our errors or a visible break in ${count} seeded answers, and never a cut one as whole`, async () => {
    const seed = seedOf(process.env)
    console.log(`seed ${seed}, ${kindNames.length} kinds`)
    const chance = chanceFrom(seed)
    const cases = Array.from({ length: count }, (_, at) => {
      const nonce = `n${at}x${chance.below(2 ** 30).toString(16)}x`
      const kind = kindNames[at % kindNames.length] ?? ''
      const stream = chance.happens(0.5)
      const answer = hostileAnswer(kind, { nonce, stream, chance, trap: `http://127.0.0.1:${trap.port}/` })
      answers.set(nonce, answer)
      return { nonce, answer, stream }
    })
    // An engine that ends or spoils a kept connection just as the next request goes out takes that one along.
    const isClean = (nonce: string) => {
      const request = upstream.requests.findLast(({ body }) => body.includes(nonce))
      return (
        request?.before.every((mark) => mark.startsWith('nothing wrong') || mark.startsWith('headers that')) === true
      )
    }
    const outcomes = new Tallies<string>()
    const errors = new ErrorBodies(['192.168.7.7', 'tail1', 'poison'])
    const wrong: string[] = []
    const startedMs = performance.now()
    await inParallel(cases, width, async ({ nonce, answer, stream }) => {
      // What is answered before it is sent must be larger than the buffers on its way.
      const padding = answer.early === true ? ' word'.repeat(400_000) : ''
      const body = chatBody({ stream, messages: [{ role: 'user', content: nonce + padding }] })
      const text = chatText(gateway.key, { framing: `Content-Length: ${body.length}\r\n`, extra: '', body })
      const bytes = await throwAt(gateway.port, text, 12_000)
      try {
        outcomes.add(
          judge({ bytes, nonce, errors, answer, isClean: isClean(nonce), isKnown: (other) => answers.has(other) }),
        )
      } catch (error) {
        wrong.push(`${answer.kind}, stream ${stream}: ${String(error)}\n${bytes.subarray(0, 1_500)}`)
      }
    })
    console.log(`${count} answers in ${Math.round(performance.now() - startedMs)} ms: ${outcomes}`)
    console.log(`${errors.count} error bodies, ${errors.check()} different; ${upstream.connections()} connections`)
    assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} of ${count}, seed ${seed}`)
    assert.equal(trap.connections(), 0, 'a redirect was followed')
    assert.equal(gateway.child.exitCode, null)
    assert.equal(gateway.stderr(), '')
    assert.deepEqual(
      gateway.logs().filter(({ outcome }) => outcome === 'internal_error'),
      [],
    )
  })

  it('carries no other request on a connection that an answer has spoilt', () => {
    const reused = upstream.requests.flatMap(({ before }) => before)
    const spoilers = new Set([
      ...[
        'too long for its length',
        'an upgrade',
        'a second answer behind it',
        'garbage behind it',
        'a greeting of SSH',
      ],
      ...['a cut that leaves the connection open', 'a stream with an error and [DONE]', 'trailers'],
    ])
    assert.ok(reused.includes('nothing wrong'), 'no connection was ever kept')
    assert.deepEqual([...new Set(reused.filter((mark) => spoilers.has(mark) && mark !== 'trailers'))], [])
  })

  it('gives every connection back or ends it', async () => {
    await waitUntil(() => upstream.socketsOpen() === 0, 10_000, 'idle connections run into their time')
  })
})

function planFor({ body }: SeenRequest, answers: ReadonlyMap<string, HostileAnswer>): HostileAnswer | undefined {
  const nonce = nonceIn.exec(body)?.[0]
  return nonce === undefined ? undefined : answers.get(nonce)
}

interface Case {
  readonly bytes: Buffer
  readonly nonce: string
  readonly answer: HostileAnswer
  readonly errors: ErrorBodies
  /** Whether its connection had carried honest answers alone. */
  readonly isClean: boolean
  readonly isKnown: (nonce: string) => boolean
}

/** What came of one answer, in a word; throws where the caller was misled. */
function judge({ bytes, nonce, answer, errors, isClean, isKnown }: Case): string {
  const found = bytes.toString('latin1').match(noncesIn) ?? []
  assert.deepEqual(
    found.filter((other) => other !== nonce && isKnown(other)),
    [],
    'bytes of another answer',
  )
  assert.ok(!bytes.includes('poison'), 'bytes behind the answer')
  const [first, ...more] = finalAnswers(bytes)
  assert.equal(more.length, 0)
  if (first === undefined || !first.whole) {
    assert.ok(!(answer.honest && isClean), 'an honest answer was broken')
    return 'broken'
  }
  const { status, body, headers } = first
  if (status !== 200) {
    assert.ok(!(answer.honest && isClean), 'an honest answer became an error')
    const code = errors.take(first) ?? ''
    assert.ok(meantCodes.has(code) && status !== 500, `${status} ${code}`)
    return code
  }
  for (const name of headers.keys()) assert.match(name, allowedHeaders)
  assert.ok(body.length <= answerBytesMax + 1_000)
  const isStream = headers.get('content-type')?.startsWith('text/event-stream') === true
  return isStream
    ? judgeStream(withoutComments(body).toString(), nonce, answer, errors)
    : judgePlain(body, nonce, answer)
}

const allowedHeaders =
  /^(?:content-type|content-length|transfer-encoding|connection|keep-alive|date|vary|cache-control|server-timing|x-request-id|x-content-type-options|x-accel-buffering|x-hearth-[a-z-]+)$/

function judgePlain(body: Buffer, nonce: string, { honest, kind, writes }: HostileAnswer): string {
  if (honest) assert.equal(body.toString('latin1'), plainBody(nonce))
  // What was changed at random may be no JSON any more; it must then be there as it came.
  if (/random|UTF-8/.test(kind)) assert.ok(isJson(body) || isAllOf(body, Buffer.concat(writes)))
  else assert.deepEqual([JSON.parse(body.toString()).id, JSON.parse(body.toString()).end], [nonce, nonce])
  return 'whole'
}

function judgeStream(text: string, nonce: string, { honest, kind }: HostileAnswer, errors: ErrorBodies): string {
  if (honest) assert.equal(text, streamBody(nonce))
  const failure = /(?:^|\n\r?\n)event: error\ndata: (.*)\n\n$/.exec(text)?.[1]
  assert.ok((text.match(/event: error\n/g) ?? []).length <= 1)
  if (failure !== undefined) {
    assert.doesNotMatch(text, /^data: \[DONE\]/m)
    const code = errors.takeText(failure)
    assert.ok(meantCodes.has(code), code)
    return `stream ended by ${code}`
  }
  assert.match(text, /(?:^|\n)data: ?\[DONE\][\s\S]*\n\r?\n$/, 'a clean end without the terminal event')
  if (!/random/.test(kind)) assert.ok(text.includes(`last-${nonce}`), 'a whole stream without its last words')
  return 'whole stream'
}

/** Whether a body is all that an engine wrote of it, by its framing or, where that is beyond a strict reader, its last byte. */
function isAllOf(body: Buffer, written: Buffer): boolean {
  if (written.includes(body)) return true
  try {
    return finalAnswers(written)[0]?.body.equals(body) === true
  } catch {
    return body.at(-1) === 0x7d
  }
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString())
    return true
  } catch {
    return false
  }
}
