import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { errorTable } from '../src/errors.ts'
import { callerRoutes } from '../src/routes/routes.data.ts'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { checkMetrics, findPrometheus, type Prometheus, startPrometheus } from './prometheus.ts'
import { exchangeRaw } from './raw-client.ts'
import { adminPort } from './watch.ts'
import { chat, endPair, model, startPair } from './wire.ts'

const { program, promtool, reason } = findPrometheus()
const skip = program === undefined || promtool === undefined ? reason : false
const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')

/** What was sent, by how it must have ended. */
const sent = { plain: 12, streams: 7, tokens: 9, unknownModels: 40, strangers: 5, oddPaths: 30, failures: 3, left: 4 }

/** Names that want to be a line, a label, a series or a metric of their own. */
const hostile = (at: number) =>
  [
    `"} 1\nhearth_requests_total{code="mine"} ${at}`,
    `m${at}\\`,
    `{le="${at}"}`,
    `# HELP x ${at}`,
    `${'é😀'.repeat(40)}${at}`,
    `__name__=${at}`,
    `# EOF ${at}`,
    `\u2028${at}`,
  ][at % 8] ?? ''

describe('a real Prometheus', () => {
  let engine: FakeEngine
  let gateway: Gateway
  let prometheus: Prometheus | undefined
  const ask = async (expression: string) => (await prometheus?.query(expression)) ?? []
  const figureOf = async (expression: string) => (await ask(expression))[0]?.value

  before(async () => {
    if (skip !== false) return
    ;({ engine, gateway } = await startPair({}))
    await sendAll(gateway, engine)
    prometheus = await startPrometheus(program ?? '', await adminPort(gateway))
    await prometheus.scraped()
  })
  after(async () => {
    if (skip !== false) return
    await prometheus?.[Symbol.asyncDispose]()
    await endPair({ engine, gateway })
  })

  it('takes every scrape, and loses no line of it', { skip }, async (t) => {
    const target = await prometheus?.target()
    assert.deepEqual([target?.health, target?.lastError], ['up', ''])
    assert.equal(await figureOf('min_over_time(up{job="hearth"}[1m])'), 1)
    const { text } = await exchangeRaw(await adminPort(gateway), { path: '/metrics' })
    // The delay of the loop is told from the second scrape on, and where there was time to measure one.
    const lines = text.split('\n').filter((line) => line !== '' && !/^#|^hearth_loop_delay_seconds/.test(line))
    const ours = '__name__!~"up|scrape_.*|hearth_loop_delay_seconds"'
    assert.equal(await figureOf(`count({job="hearth",${ours}})`), lines.length)
    t.diagnostic(`Prometheus ${prometheus?.version}: ${lines.length} samples, ${text.length} bytes`)
  })

  it('counts as many requests of each code as were sent', { skip }, async () => {
    const codes = await ask('sum by (code) (hearth_requests_total)')
    const counted = Object.fromEntries(codes.map(({ labels, value }) => [labels['code'], value]))
    assert.deepEqual(counted, {
      ok: sent.plain + sent.streams,
      model_not_found: sent.unknownModels,
      invalid_api_key: sent.strangers,
      unknown_route: sent.oddPaths,
      engine_error: sent.failures,
      client_gone: sent.left,
    })
    assert.equal(await figureOf('sum(hearth_aborts_total{side="caller",reason="client_gone"})'), sent.left)
  })

  it('has the tokens that the engine gave, and one value for each answer, under both names', { skip }, async () => {
    const answers = sent.plain + sent.streams
    const tokens = (type: string) => figureOf(`sum(hearth_tokens_total{type="${type}",source="engine"})`)
    assert.equal(await tokens('output'), answers * sent.tokens)
    assert.ok(Number(await tokens('input')) > 0)
    for (const name of ['hearth_answer_seconds', 'gen_ai_server_request_duration_seconds'])
      assert.equal(await figureOf(`sum(${name}_count)`), answers + sent.failures + sent.left, name)
    assert.equal(await figureOf('sum(gen_ai_server_request_duration_seconds_count{error_type="engine_error"})'), 3)
    const firsts = Number(await figureOf('sum(hearth_time_to_first_token_seconds_count)'))
    // Of those that left, some saw no text.
    assert.ok(firsts >= sent.streams && firsts <= sent.streams + sent.left, `${firsts} first tokens`)
    assert.equal(await figureOf('sum(gen_ai_server_time_to_first_token_seconds_count)'), firsts)
    for (const name of ['hearth_time_per_output_token_seconds', 'gen_ai_server_time_per_output_token_seconds'])
      assert.equal(await figureOf(`sum(${name}_count)`), sent.streams, name)
    assert.equal(await figureOf('sum(gen_ai_client_token_usage_sum{gen_ai_token_type="output"})'), await tokensOut())
    const gaps = await figureOf('sum(hearth_inter_token_seconds_count)')
    assert.ok(Number(gaps) >= sent.streams && Number(gaps) <= sent.streams * sent.tokens + sent.left * 100, `${gaps}`)
  })

  const tokensOut = () => figureOf('sum(hearth_tokens_total{type="output"})')

  it('has seen nothing in a label that a caller chose', { skip }, async (t) => {
    const series = (await prometheus?.series()) ?? []
    const values = (name: string) =>
      new Set(series.flatMap(({ [name]: value }) => (value === undefined ? [] : [value])))
    const within = (name: string, known: readonly string[]) =>
      assert.deepEqual(
        [...values(name)].filter((value) => !known.includes(value)),
        [],
        name,
      )
    within('model', [model])
    within('gen_ai_request_model', [model])
    within('engine', ['gpu'])
    within('route', ['other', ...callerRoutes.map(({ path }) => path)])
    for (const name of ['code', 'reason', 'error_type', 'result'])
      within(name, ['ok', 'other', 'abandoned', ...Object.keys(errorTable)])
    const names = new Set(series.map(({ __name__ }) => String(__name__).replace(/_(bucket|sum|count)$/, '')))
    for (const name of names)
      assert.match(name, /^(hearth|gen_ai|process|nodejs|scrape)_|^up$/, 'a metric that nobody made')
    t.diagnostic(`${series.length} series of ${names.size} metrics after ${Object.values(sent).join(' + ')} requests`)
  })

  it('can answer every question of docs/metrics.md', { skip }, async () => {
    const questions = [...page.matchAll(/```promql\n([\s\S]*?)```/g)].flatMap(([, text = '']) =>
      text.trim().split('\n'),
    )
    assert.ok(questions.length >= 6)
    for (const question of questions) await ask(question)
  })

  it('has a tool that finds nothing to say against the text', { skip }, async () => {
    const { text } = await exchangeRaw(await adminPort(gateway), { path: '/metrics' })
    assert.equal(await checkMetrics(promtool ?? '', text), '')
    assert.notEqual(await checkMetrics(promtool ?? '', text.replace('hearth_requests_total', 'hearthRequests')), '')
  })
})

async function sendAll(gateway: Gateway, engine: FakeEngine): Promise<void> {
  engine.setDefault({ tokens: sent.tokens, intervalMs: 5 })
  const many = (count: number, send: (at: number) => Promise<unknown>) =>
    Promise.all(Array.from({ length: count }, (_, at) => send(at)))
  const whole = async (response: Promise<Response>) => await (await response).text()
  await many(sent.plain, () => whole(chat(gateway)))
  await many(sent.streams, () => whole(chat(gateway, { stream: true })))
  await many(sent.unknownModels, (at) => whole(chat(gateway, { model: hostile(at) })))
  const stranger = { authorization: 'Bearer hk_unknown', 'content-type': 'application/json' }
  await many(sent.strangers, () => whole(chat(gateway, {}, { headers: stranger })))
  await many(sent.oddPaths, (at) => exchangeRaw(gateway.port, { path: `/${encodeURIComponent(hostile(at))}` }))
  engine.script({ error: { status: 500, body: 'object' }, times: sent.failures })
  await many(sent.failures, () => whole(chat(gateway)))
  engine.script({ forever: true, times: sent.left })
  await many(sent.left, async () => {
    const leaving = new AbortController()
    const response = await chat(gateway, { stream: true }, { signal: leaving.signal })
    await response.body?.getReader().read()
    leaving.abort()
  })
  const isGone = () => gateway.logs().filter(({ outcome }) => outcome === 'client_gone').length === sent.left
  await gateway.waitForLog(isGone, 'all that left are in the log')
}
