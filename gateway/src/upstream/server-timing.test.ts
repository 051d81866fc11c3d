import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { serverTiming, timingHeaders } from './server-timing.ts'

test('the steps stand in the order in which they are taken, rounded to a tenth of a millisecond', () => {
  equal(
    serverTiming({
      firstTokenMs: 99.96,
      firstByteMs: 31.04,
      connectMs: 0.25,
      queueMs: 0,
      pictureMs: 1.5,
      scanMs: 2.449,
      bodyMs: 7,
      authMs: 0.04,
      way: { path: 'direct', rttMs: 0.41 },
    }),
    'mesh;desc="direct";dur=0.4, auth;dur=0, body;dur=7, scan;dur=2.4, picture;dur=1.5, queue;dur=0, connect;dur=0.3, first-byte;dur=31, first-token;dur=100',
  )
})

test('a step that was not taken is not named, and nothing known is no header', () => {
  equal(serverTiming({ queueMs: 3, way: { path: 'derp', rttMs: undefined } }), 'mesh;desc="derp", queue;dur=3')
  equal(serverTiming({ way: undefined }), '')
  deepEqual(timingHeaders({}), {})
  deepEqual(timingHeaders({ authMs: 0.1 }), { 'server-timing': 'auth;dur=0.1' })
})

test('whatever the clocks said, each step is a token and a number', () => {
  const ms = fc.double({ min: -1e9, max: 1e9, noNaN: true })
  fc.assert(
    fc.property(ms, ms, (authMs, scanMs) =>
      match(serverTiming({ authMs, scanMs }), /^auth;dur=\d+(\.\d)?, scan;dur=\d+(\.\d)?$/),
    ),
  )
})
