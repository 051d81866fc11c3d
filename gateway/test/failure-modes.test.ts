import { deepEqual, equal, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { errorHeaders, errorTable, HearthError, isErrorCode } from '../src/errors.ts'

const text = readFileSync(join(import.meta.dirname, '../../docs/failure-modes.md'), 'utf8')
/** The entries: code and what stands below its heading. */
const entries = text
  .split(/^### /m)
  .slice(1)
  .map((entry) => ({ code: /^`(\w+)`\n/.exec(entry)?.[1] ?? entry.slice(0, 40), body: entry }))
const fields = ['Status', 'Caller sees', 'Means', 'Operator', 'Retry']

test('every code of the table of errors has one entry, and no entry is without a code', () => {
  deepEqual(entries.map(({ code }) => code).sort(), Object.keys(errorTable).sort())
})

test('each entry names the status, the headers and the public text that callers get', () => {
  for (const { code, body } of entries) {
    ok(isErrorCode(code))
    const headers = errorHeaders(new HearthError(code))
    const words = [
      `Status: ${errorTable[code].status}`,
      headers['retry-after'] === undefined ? '' : ` · Retry-After: ${headers['retry-after']}`,
      headers['x-should-retry'] === undefined ? '' : ` · x-should-retry: ${headers['x-should-retry']}`,
    ]
    equal(/^- (Status: .*)$/m.exec(body)?.[1], words.join(''), code)
    ok(body.includes(`“${errorTable[code].text}”`), `${code}: wants the text “${errorTable[code].text}”`)
  }
})

test('each entry says what the caller sees, what it means, what the operator does, and whether another try helps', () => {
  for (const { code, body } of entries)
    deepEqual(
      [...body.matchAll(/^- (\w[\w ]*):/gm)].map((found) => found[1]),
      fields,
      code,
    )
})
