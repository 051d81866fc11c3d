import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { metricsOf } from './road.ts'
import { adminPort } from './watch.ts'
import { chat, endPair, model, startPair } from './wire.ts'

describe('the metrics of a gateway at work', () => {
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({ modelConfig: { aliases: ['gpt-4o'] } }))
  })
  after(() => endPair({ engine, gateway }))

  const of = `engine="gpu",model="${model}"`
  /** The value of the one line that begins so. */
  const figure = async (line: string) => {
    const lines = (await metricsOf(gateway)).split('\n').filter((one) => one.startsWith(`${line} `))
    assert.ok(lines.length <= 1, lines.join('\n'))
    return lines[0] === undefined ? undefined : Number(lines[0].slice(line.length))
  }
  const over = async (outcome: string, count: number) => {
    const all = () => gateway.logs().filter((record) => record['outcome'] === outcome).length >= count
    await gateway.waitForLog(all, `${count} records with ${outcome}`)
  }

  it('say nothing of an engine before its first word, and then whether that was a good one', async () => {
    assert.equal(await figure('hearth_engine_ready{engine="gpu"}'), undefined)
    await (await chat(gateway)).text()
    await over('ok', 1)
    assert.equal(await figure('hearth_engine_ready{engine="gpu"}'), 1)
    assert.ok(Number(await figure('hearth_engine_word_age_seconds{engine="gpu"}')) < 60)
  })

  it('count the tokens, the first of them and the gaps between them under the id of the model', async () => {
    const tokens = `hearth_tokens_total{${of},type="output",source="engine"}`
    const before = Number(await figure(tokens))
    engine.script({ tokens: 6, intervalMs: 10 })
    const text = await (await chat(gateway, { model: 'gpt-4o', stream: true })).text()
    // The figures once more, at the end of the stream: now the first token is known.
    assert.match(text, /^: server-timing auth;.*, first-byte;dur=[\d.]+, first-token;dur=[\d.]+$/m)
    await over('ok', 2)
    assert.equal(await figure(tokens), before + 6)
    const firsts = `hearth_time_to_first_token_seconds_count{${of},operation="chat"}`
    assert.equal(await figure(firsts), 1)
    const gaps = Number(await figure(`hearth_inter_token_seconds_count{${of}}`))
    assert.ok(gaps >= 1 && gaps <= 5, `${gaps} gaps between 6 tokens`)
    assert.doesNotMatch(await metricsOf(gateway), /gpt-4o/)
  })

  it('count a stream that was cut with the tokens that came, which nobody but us has counted', async () => {
    engine.script({ tokens: 12, intervalMs: 5, cut: { how: 'rst', at: 1_500 } })
    const text = await (await chat(gateway, { stream: true })).text()
    assert.match(text, /event: error/)
    await over('engine_died', 1)
    assert.equal(await figure('hearth_aborts_total{side="engine",reason="engine_died"}'), 1)
    const estimated = Number(await figure(`hearth_tokens_total{${of},type="output",source="estimated"}`))
    assert.ok(estimated >= 1 && estimated < 12, `${estimated} tokens of a stream that was cut`)
    assert.equal(await figure('hearth_engine_ready{engine="gpu"}'), 0)
  })

  it('count a caller who leaves once, on the side of the callers', async () => {
    engine.script({ forever: true })
    const leaving = new AbortController()
    const response = await chat(gateway, { stream: true }, { signal: leaving.signal })
    await response.body?.getReader().read()
    leaving.abort()
    await over('client_gone', 1)
    assert.equal(await figure('hearth_aborts_total{side="caller",reason="client_gone"}'), 1)
    assert.equal(await figure('hearth_requests_in_flight{engine="gpu"}'), 0)
    assert.equal(await figure('hearth_requests_open'), 0)
  })

  it('come as OpenMetrics to who prefers it, the same values', async () => {
    const headers = { accept: 'application/openmetrics-text' }
    const response = await fetch(`http://127.0.0.1:${await adminPort(gateway)}/metrics`, { headers })
    assert.match(response.headers.get('content-type') ?? '', /^application\/openmetrics-text; version=1\.0\.0/)
    const text = await response.text()
    assert.match(text, /^# TYPE hearth_aborts counter$/m)
    assert.match(text, /^hearth_aborts_total\{side="caller",reason="client_gone"\} 1$/m)
    assert.ok(text.endsWith('\n# EOF\n'))
  })
})
