import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createKey } from './keys/key.ts'
import { jsonRender, renderPretty } from './log/render.ts'
import { createLog, type Fields, joinLines, type Severity } from './log.ts'

const time = new Date('2026-02-03T04:05:06.789Z')

function linesOf(form: 'json' | 'pretty', ...records: [Severity, string, Fields?][]): string[] {
  const lines: string[] = []
  const log = createLog(
    form === 'json' ? jsonRender(undefined) : renderPretty,
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
      if (form === 'json') JSON.parse(lines[0] ?? '')
    }),
  )
})

test('no form lets through what moves a cursor, ends a line or turns the direction of text', () => {
  const hostile = 'a\u001b[31m\u009b2J\u2028\u2029\u202e\u2066\u0085\u007f\ufeff\r\n\0b'
  for (const form of ['json', 'pretty'] as const) {
    const [line = ''] = linesOf(form, ['INFO', hostile, { detail: hostile }])
    match(line, /^[\x20-\x7e]+\n$/)
  }
  const { message, detail } = JSON.parse(linesOf('json', ['INFO', hostile, { detail: hostile }])[0] ?? '')
  deepEqual([message, detail], [hostile, hostile])
})

test('a key is told by its form wherever it stands', () => {
  const { text } = createKey()
  const [line = ''] = linesOf('json', ['INFO', `a ${text} b`, { detail: `${text}${text}` }])
  deepEqual([JSON.parse(line).message, JSON.parse(line).detail], ['a hk_… b', 'hk_…'])
})

test('a field that is undefined is left out', () => {
  const [line = ''] = linesOf('json', ['INFO', 'request', { model: undefined, status: 200 }])
  equal('model' in JSON.parse(line), false)
})

test('numbers are cut to thousandths, and texts to 2 KiB', () => {
  const [line = ''] = linesOf('json', ['INFO', 'request', { ms: 1.23456, detail: 'x'.repeat(5000) }])
  const { ms, detail } = JSON.parse(line)
  deepEqual([ms, detail.length], [1.235, 2048])
  for (const char of ['가', '𝄞', 'é', '\ud800']) {
    const { detail } = JSON.parse(linesOf('json', ['INFO', 'request', { detail: char.repeat(5000) }])[0] ?? '')
    const bytes = Buffer.byteLength(detail)
    ok(bytes <= 2048 && bytes > 2044 && detail.isWellFormed(), `${char} ${bytes}`)
    equal(detail.at(-1), [...char.toWellFormed()].at(-1)?.at(-1))
  }
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
