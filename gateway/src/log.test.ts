import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLog, type Fields, joinLines, type Severity } from './log.ts'

const time = new Date('2026-02-03T04:05:06.789Z')

function linesOf(form: 'json' | 'pretty', ...records: [Severity, string, Fields?][]): string[] {
  const lines: string[] = []
  const log = createLog(
    form,
    (line) => lines.push(line),
    () => time,
  )
  for (const record of records) log(...record)
  return lines
}

test('a json record is one line with severity, time, message and its fields', () => {
  const [line = ''] = linesOf('json', ['WARNING', 'request', { status: 503, ok: false, code: 'draining' }])
  const time = '2026-02-03T04:05:06.789Z'
  deepEqual(JSON.parse(line), {
    severity: 'WARNING',
    time,
    message: 'request',
    status: 503,
    ok: false,
    code: 'draining',
  })
})

test('a record stays one line in both forms, whatever its fields hold', () => {
  const anyFields = fc.dictionary(
    fc.string().filter((name) => !/[\r\n]/.test(name)),
    fc.oneof(fc.string({ unit: 'binary' }), fc.constant('a\r\nb\u2028'), fc.double(), fc.boolean()),
  )
  fc.assert(
    fc.property(fc.constantFrom('json' as const, 'pretty' as const), anyFields, (form, fields) => {
      const lines = linesOf(form, ['INFO', 'request', fields])
      deepEqual([lines.length, lines[0]?.match(/[\r\n]/g)], [1, ['\n']])
    }),
  )
})

test('a field that is undefined is left out', () => {
  const [line = ''] = linesOf('json', ['INFO', 'request', { model: undefined, status: 200 }])
  equal('model' in JSON.parse(line), false)
})

test('numbers are cut to thousandths, and texts to 2048 characters', () => {
  const [line = ''] = linesOf('json', ['INFO', 'request', { ms: 1.23456, detail: 'x'.repeat(5000) }])
  const { ms, detail } = JSON.parse(line)
  deepEqual([ms, detail.length], [1.235, 2048])
})

test('a pretty record shows the time of day, the severity, the message and the fields', () => {
  const [line = '', bare = ''] = linesOf('pretty', ['INFO', 'request', { status: 200, model: 'a b' }], ['ERROR', 'oh'])
  equal(line, '04:05:06.789 INFO    request status=200 model="a b"\n')
  match(bare, /^04:05:06.789 ERROR {3}oh\n$/)
})

test('joinLines() writes the lines of one turn together, in order, and what is left when it is flushed', async () => {
  const writes: string[] = []
  const lines = joinLines((text) => writes.push(text))
  lines.write('a\n')
  lines.write('b\n')
  deepEqual(writes, [])
  await new Promise((resolve) => setImmediate(resolve))
  deepEqual(writes, ['a\nb\n'])
  lines.write('c\n')
  lines.flush()
  await new Promise((resolve) => setImmediate(resolve))
  deepEqual(writes, ['a\nb\n', 'c\n'])
})
