import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { chatText } from './framing-cases.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { ErrorBodies } from './hygiene.ts'
import { throwAt } from './malformed.ts'
import { type RawUpstream, startRawUpstream } from './raw-upstream.ts'
import { inParallel } from './seeded.ts'
import { finalAnswers } from './strict-http.ts'
import { chatBody, model } from './wire.ts'

/** A request that once went wrong, here or in a system like this one, byte by character; `{key}` stands for the key. */
interface PastRequest {
  readonly was: string
  readonly wants: readonly number[]
  readonly bytes: string
}

/** An answer of an engine that once went wrong, and the code that its caller is told. */
interface PastAnswer {
  readonly was: string
  readonly code: string
  readonly stream: boolean
  readonly bytes: string
}

const requests = readCorpus<PastRequest>('requests.jsonl')
const answers = readCorpus<PastAnswer>('answers.jsonl')
const honest = JSON.stringify({ id: 'x', choices: [] })

describe('past failures', () => {
  const errors = new ErrorBodies()
  let upstream: RawUpstream
  let gateway: Gateway
  before(async () => {
    upstream = await startRawUpstream(({ body }) => {
      const at = /past-(\d+)-/.exec(body)?.[1]
      const bytes = at === undefined ? undefined : answers[Number(at)]?.bytes
      const plain = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${honest.length}\r\n\r\n${honest}`
      return { mark: 'said', writes: [Buffer.from(bytes ?? plain, 'latin1')], ending: 'fin' }
    })
    const config = {
      engines: [{ name: 'gpu', url: upstream.url, kind: 'vllm', capacity: 64 }],
      models: [{ id: model, engine: 'gpu' }],
    }
    gateway = await startGateway({ config, env: { HEARTH_HOST: '127.0.0.1' } })
  })
  after(async () => {
    await assertNothingLeft(gateway)
    await upstream[Symbol.asyncDispose]()
  })

  it('of requests are answered as they should have been, and none that is refused reaches the engine', async (t) => {
    const wrong: string[] = []
    let passed = 0
    await inParallel(requests, 4, async ({ was, wants, bytes }) => {
      const came = finalAnswers(await throwAt(gateway.port, bytes.replaceAll('{key}', gateway.key), 3_000))
      for (const answer of came) errors.take(answer)
      passed += came.filter(({ status }) => status === 200).length
      const statuses = came.map(({ status }) => status)
      if (came.length === 0 || statuses.some((status) => !wants.includes(status)))
        wrong.push(`${was}: ${statuses.join()}, wanted ${wants.join()}`)
    })
    assert.deepEqual(wrong, [])
    assert.equal(upstream.requests.length, passed)
    t.diagnostic(`${requests.length} requests`)
  })

  it('of engines are told by their code, and never as an answer', async (t) => {
    await inParallel([...answers.entries()], 4, async ([at, { was, code, stream }]) => {
      const body = chatBody({ stream, messages: [{ role: 'user', content: `past-${at}-` }] })
      const text = chatText(gateway.key, { framing: `Content-Length: ${body.length}\r\n`, body })
      const [answer, ...more] = finalAnswers(await throwAt(gateway.port, text, 5_000))
      assert.ok(answer?.whole === true && more.length === 0, was)
      const failure = /event: error\ndata: (.*)\n\n$/.exec(answer.body.toString())?.[1]
      assert.equal(failure === undefined ? errors.take(answer) : errors.takeText(failure), code, was)
    })
    t.diagnostic(`${answers.length} answers, ${errors.check()} different errors`)
    assert.equal(gateway.stderr(), '')
  })
})

function readCorpus<T>(file: string): readonly T[] {
  const lines = readFileSync(join(import.meta.dirname, 'corpus', file), 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line): T => JSON.parse(line))
}
