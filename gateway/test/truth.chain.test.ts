import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startTestChain, type TestChain } from './chain-fixture.ts'
import { waitUntil, withDeadline } from './deadline.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import {
  answerOf,
  deaths,
  framings,
  type MortalEngine,
  places,
  questionOf,
  spawnMortalEngine,
  type Task,
} from './mortal-engine.ts'
import { chat, model, readEvents, withoutComments } from './wire.ts'

const answerMs = 15_000
const roads = ['direct', 'Traefik'] as const
type Road = (typeof roads)[number]

/** What a caller makes of an answer who believes what HTTP, JSON and `[DONE]` say. */
interface Seen {
  readonly looksWhole: boolean
  readonly words: string
}

describe('an answer is whole, or plainly cut, whatever its engine speaks', () => {
  const left = new AsyncDisposableStack()
  let engine: MortalEngine
  let test: TestChain
  let gateway: Gateway
  const table = new Map<string, string>()

  before(async () => {
    engine = left.use(await spawnMortalEngine())
    const end = { from: 'address', url: engine.url, kind: 'openai', capacity: 8, models: [{ id: model }] } as const
    test = left.use(await startTestChain({ engine: end }))
    await test.ready(20_000, 'the chain is ready')
    gateway = left.adopt(
      await startGateway({
        config: { engines: [{ name: 'gpu', url: engine.url, kind: 'openai' }], models: [{ id: model, engine: 'gpu' }] },
        env: { HEARTH_HOST: '127.0.0.1' },
      }),
      (one) => assertNothingLeft(one),
    )
  })
  after(async () => {
    for (const [row, words] of table) console.log(`${row.padEnd(52)} ${words}`)
    await left[Symbol.asyncDispose]()
  })

  const ask = async (road: Road, task: Task): Promise<Seen> => {
    const lives = engine.lives()
    const fields = { stream: task.stream, messages: [{ role: 'user', content: questionOf(task) }] }
    const asked = (road === 'direct' ? chat(gateway, fields) : test.chat(fields)).then((response) =>
      task.stream ? readStream(response) : readPlain(response),
    )
    const seen = await withDeadline(asked, answerMs, `an answer to ${JSON.stringify(task)}`)
    if (task.death?.by === 'kill') await waitUntil(() => engine.lives() > lives, answerMs, 'the engine lives again')
    return seen
  }
  const note = (task: Task, road: Road, { words }: Seen) => {
    const { framing, stream, death } = task
    const end = death === undefined ? 'whole' : `${death.by} ${death.at}`
    const row = `${framing.padEnd(18)}${(stream ? 'stream' : 'plain').padEnd(8)}${end}`
    table.set(row, [table.get(row), `${road}: ${words}`].filter((part) => part !== undefined).join(' · '))
  }

  for (const framing of framings) {
    it(`comes whole from an engine of ${framing}`, async () => {
      for (const road of roads) {
        for (const stream of [true, false]) {
          const task = { framing, stream, death: undefined }
          const seen = await ask(road, task)
          note(task, road, seen)
          assert.deepEqual([seen.looksWhole, seen.words], [true, 'whole'], `${road}, stream ${stream}`)
        }
      }
    })

    it(`never looks whole when an engine of ${framing} was cut`, async () => {
      let count = 0
      for (const road of roads) {
        for (const stream of [true, false]) {
          for (const by of deaths) {
            for (const at of by === 'kill' ? (['between'] as const) : places) {
              const task = { framing, stream, death: { by, at } }
              const seen = await ask(road, task)
              note(task, road, seen)
              count += 1
              const where = `${road}, stream ${stream}, ${by} ${at}: ${seen.words}`
              assert.equal(seen.looksWhole, false, where)
              if (stream) assert.match(seen.words, /^(200 engine_|502 engine_died|503 engine_unreachable)/, where)
              else assert.match(seen.words, /^(502 engine_|503 (engine_unreachable|ingress_down)|broken)/, where)
            }
          }
        }
      }
      console.log(`${framing}: 0 of ${count} cut answers looked whole (95 %: below ${(300 / count).toFixed(0)} %)`)
    })
  }
})

async function readStream(response: Response): Promise<Seen> {
  const bytes = await response.arrayBuffer().catch(() => undefined)
  if (bytes === undefined) return { looksWhole: false, words: 'broken' }
  const text = Buffer.from(bytes).toString()
  if (response.status !== 200) return { looksWhole: false, words: `${response.status} ${JSON.parse(text).error.code}` }
  const { errors, done } = readEvents(text)
  if (done) {
    const isExact = withoutComments(Buffer.from(bytes)).toString() === answerOf(true)
    return { looksWhole: true, words: isExact ? 'whole' : 'other bytes' }
  }
  return { looksWhole: errors.length !== 1, words: `200 ${errors.map(({ code }) => code).join()}` }
}

async function readPlain(response: Response): Promise<Seen> {
  const text = await response.text().catch(() => undefined)
  if (text === undefined) return { looksWhole: false, words: 'broken' }
  if (response.status !== 200) return { looksWhole: false, words: `${response.status} ${JSON.parse(text).error.code}` }
  try {
    assert.deepEqual(JSON.parse(text).choices, JSON.parse(answerOf(false)).choices)
    return { looksWhole: true, words: 'whole' }
  } catch {
    return { looksWhole: true, words: `200 ${text.slice(-40)}` }
  }
}
