import { deepEqual, equal, match, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { openTrace, traceparentOf } from './trace.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const parentId = '00f067aa0ba902b7'
const valid = `00-${traceId}-${parentId}-01`
const zeros = '0'.repeat(32)

/** What is taken over of the headers: the caller's trace, or `fresh`. */
function taken(headers: Record<string, string>): unknown {
  const { traceId: id, spanId, sampled, state } = openTrace(headers)
  match(id, /^[\da-f]{32}$/)
  match(spanId, /^[\da-f]{16}$/)
  if (id !== traceId) return [id, sampled, state].includes(true) || state !== undefined ? 'mixed' : 'fresh'
  notEqual(spanId, parentId)
  return { sampled, state }
}

test('a valid traceparent is gone on with, by a span of our own', () => {
  deepEqual(taken({ traceparent: valid }), { sampled: true, state: undefined })
  deepEqual(taken({ traceparent: valid.replace(/01$/, '00') }), { sampled: false, state: undefined })
  deepEqual(taken({ traceparent: valid.replace(/01$/, 'fe') }), { sampled: false, state: undefined })
  equal(openTrace({ traceparent: valid.replace('6-0', '0-0') }).traceId.at(-1), '0')
  const trace = openTrace({ traceparent: valid })
  equal(traceparentOf(trace), `00-${traceId}-${trace.spanId}-01`)
})

test('without a trace a new one begins, which nobody asked to keep', () => {
  const [one, other] = [openTrace({}), openTrace({})]
  notEqual(one.traceId, other.traceId)
  match(traceparentOf(one), /^00-[\da-f]{32}-[\da-f]{16}-00$/)
})

test('a traceparent that is not letter by letter valid is none', () => {
  const broken = [
    '',
    valid.toUpperCase(),
    ` ${valid}`,
    `${valid} `,
    `${valid}-`,
    `${valid}-more`,
    `${valid}, ${valid}`,
    valid.replace('00-', 'ff-'),
    valid.replace(traceId, zeros),
    valid.replace(parentId, zeros.slice(16)),
    valid.slice(0, -1),
    valid.replaceAll('-', '_'),
    `${valid}\n`,
  ]
  for (const traceparent of broken) equal(taken({ traceparent }), 'fresh', JSON.stringify(traceparent))
})

test('a later version is read as far as this one goes, and may only go on behind a dash', () => {
  const later = valid.replace('00-', 'cc-')
  deepEqual(taken({ traceparent: later }), { sampled: true, state: undefined })
  deepEqual(taken({ traceparent: `${later}-what-the-future-holds` }), { sampled: true, state: undefined })
  for (const wrong of [`${later}.x`, `${later}0`, `${later}-${'x'.repeat(200)}`])
    equal(taken({ traceparent: wrong }), 'fresh')
})

test('a tracestate passes whole or not at all, and never without its traceparent', () => {
  const stateOf = (tracestate: string) => openTrace({ traceparent: valid, tracestate }).state
  equal(stateOf('rojo=00f067aa0ba902b7, congo=t61rcWkgMzE'), 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE')
  equal(stateOf('tenant@vendor=a b'), 'tenant@vendor=a b')
  const many = (count: number) => Array.from({ length: count }, (_, at) => `k${at}=v`).join(',')
  equal(stateOf(many(32)), many(32))
  equal(stateOf(`a=${'x'.repeat(256)}`)?.length, 258)
  const wrong = ['', ',', 'a', 'A=b', 'a=', 'a=b=c', 'a=b,é=c', 'a=b\u0001', many(33), `a=${'x'.repeat(257)}`]
  for (const text of [...wrong, `a=${'x'.repeat(250)},b=${'x'.repeat(250)},c=${'x'.repeat(10)}`])
    equal(stateOf(text), undefined, JSON.stringify(text))
  const long = (characters: number) => `a=${'x'.repeat(256)},b=${'x'.repeat(characters - 261)}`
  equal(stateOf(long(512))?.length, 512)
  equal(stateOf(long(513)), undefined)
  equal(openTrace({ tracestate: 'a=b' }).state, undefined)
  equal(openTrace({ 'x-cloud-trace-context': traceId, tracestate: 'a=b' }).state, undefined)
})

test('the header of Google Cloud counts where no valid traceparent is there', () => {
  const cloud = (text: string, more = {}) => taken({ 'x-cloud-trace-context': text, ...more })
  deepEqual(cloud(`${traceId}/67667974448284343;o=1`), { sampled: true, state: undefined })
  deepEqual(cloud(`${traceId.toUpperCase()}/1;o=0`), { sampled: false, state: undefined })
  deepEqual(cloud(traceId), { sampled: false, state: undefined })
  deepEqual(cloud(`${traceId};o=1`), { sampled: true, state: undefined })
  for (const wrong of [
    zeros,
    `${traceId}/x`,
    `${traceId};o=2`,
    `${traceId}/1;o=1;x`,
    `x${traceId}`,
    traceId.slice(1),
    `${traceId}\n`,
  ])
    equal(cloud(wrong), 'fresh', wrong)
  deepEqual(cloud(`${'1'.repeat(32)}/1;o=0`, { traceparent: valid }), { sampled: true, state: undefined })
  deepEqual(cloud(`${traceId}/1;o=1`, { traceparent: 'nonsense' }), { sampled: true, state: undefined })
})
