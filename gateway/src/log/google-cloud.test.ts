import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import type { LogContext, LogRecord } from '../log.ts'
import { entryRender } from './google-cloud.ts'
import { jsonRender } from './render.ts'

const insertId = 'logging.googleapis.com/insertId'
const httpRequest = {
  ...{ requestMethod: 'POST', requestUrl: '/v1/chat/completions', requestSize: '12', status: 200, responseSize: '34' },
  ...{ userAgent: undefined, latency: '1.234s', protocol: 'HTTP/1.1' },
}
const trace = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', sampled: true }

function record(context: LogContext): LogRecord {
  const time = new Date('2026-02-03T04:05:06.789Z')
  return {
    severity: 'WARNING',
    time,
    message: 'so \u2028 it \u009b is',
    fields: { keyId: 'k', n: 1.5, ok: false },
    ...context,
  }
}

test('a record of the library is ours, with an id of its own', () => {
  for (const project of [undefined, 'my-project']) {
    for (const context of [{}, { httpRequest }, { trace }, { httpRequest, trace: { ...trace, sampled: false } }]) {
      const { [insertId]: id, ...theirs } = JSON.parse(entryRender(project)(record(context)))
      deepEqual(theirs, JSON.parse(jsonRender(project)(record(context))))
      match(id, /^[\w.]{32}$/)
    }
  }
})

test('a trace is named by its project where that is known, and by its own id alone where not', () => {
  const nameIn = (project: string | undefined) =>
    JSON.parse(entryRender(project)(record({ trace })))['logging.googleapis.com/trace']
  equal(nameIn('my-project'), `projects/my-project/traces/${trace.traceId}`)
  equal(nameIn(undefined), trace.traceId)
})

test('ids go up, so that records of one millisecond keep their order', () => {
  const render = entryRender(undefined)
  const ids = Array.from({ length: 1000 }, () => String(JSON.parse(render(record({})))[insertId]))
  deepEqual(ids.toSorted(), ids)
  equal(new Set(ids).size, 1000)
})

test('a line of the library is one line of printable ASCII for any text', () => {
  match(entryRender(undefined)(record({})), /^[\x20-\x7e]+$/)
})

test('a record of the library takes a few microseconds more than ours', (t) => {
  const one = record({ httpRequest, trace })
  const costOf = (render: (one: LogRecord) => string) => {
    const turn = () => {
      const { user } = process.cpuUsage()
      for (let count = 0; count < 2_000; count += 1) render(one)
      return (process.cpuUsage().user - user) / 2_000
    }
    return Math.min(...Array.from({ length: 8 }, turn))
  }
  const [ours, theirs] = [costOf(jsonRender('my-project')), costOf(entryRender('my-project'))]
  t.diagnostic(`${ours.toFixed(1)} µs a record by ours, ${theirs.toFixed(1)} µs by the library`)
})

test('the part of the package that is loaded is what the package shows to everybody', async () => {
  const { Entry } = await import('@google-cloud/logging')
  equal(Entry, (await import('@google-cloud/logging/build/src/entry.js')).Entry)
})
