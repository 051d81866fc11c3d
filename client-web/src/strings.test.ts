import assert from 'node:assert/strict'
import { it } from 'node:test'
import { pickLocale } from './strings.ts'

it('the first wanted language with a catalogue wins, English is the last resort', () => {
  assert.equal(pickLocale(['xx', 'en-GB']).tag, 'en')
  assert.equal(pickLocale([]).tag, 'en')
})

it('a tag that Intl refuses does not break the figures', () => {
  const locale = pickLocale(['en-US@posix', 'constructor', ''])
  assert.equal(locale.number(1234.56, 1), '1,234.6')
  assert.equal(locale.duration(900), '0.9s')
  assert.equal(locale.duration(9960), '10s')
  assert.equal(locale.duration(125_400), '2m 5s')
  assert.equal(locale.wholeSeconds(1999), '1s')
})
