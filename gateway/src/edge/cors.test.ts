import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { openApp, takeNotes } from '../../test/in-process.ts'
import { cors, openTo } from './cors.ts'
import { InFlight, lifecycle } from './lifecycle.ts'

const stainless = [
  'x-stainless-retry-count',
  'x-stainless-timeout',
  'x-stainless-lang',
  'x-stainless-os',
  'x-stainless-arch',
  'x-stainless-runtime',
  'x-stainless-runtime-version',
  'x-stainless-package-version',
  'x-stainless-helper-method',
  'x-stainless-poll-helper',
  'x-stainless-custom-poll-interval',
]
const exposed = [
  'x-request-id',
  'retry-after',
  'x-should-retry',
  'server-timing',
  'x-hearth-error-source',
  'x-hearth-dropped-fields',
  'x-ratelimit-limit-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-requests',
  'x-ratelimit-reset-tokens',
]
const routes = new Map([['/a', { path: '/a', methods: new Set(['POST', 'GET']) }]])
const table = { find: (path: string) => routes.get(path) }
const page = 'https://a.example'

function openCors(origins: readonly string[]) {
  const notes = takeNotes()
  return openApp((app, { options }) => {
    app.use(lifecycle({ ...options, inFlight: new InFlight(), totalMs: 5_000, callerStallMs: 5_000, now: () => 0 }))
    app.use(cors(origins, table))
    app.all('*', (c) => c.body('in', 200, c.get('request').headers))
  }, notes)
}

/** The headers of an answer that concern pages. */
function pageHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => /^access-|^timing-|^vary$/.test(name)))
}

const head = (method: string, path: string, origin?: string) =>
  `${method} ${path} HTTP/1.1\r\nHost: a\r\n${origin === undefined ? '' : `Origin: ${origin}\r\n`}\r\n`

test('without a list no answer is open to a page, and none varies', () => {
  deepEqual([openTo([])(page), openTo([])(undefined)], [{}, {}])
})

test('a listed page may read an answer, its headers by name, and its times; others read nothing of it', () => {
  const open = openTo([page])
  deepEqual(Object.keys(open(page)).toSorted(), [
    'access-control-allow-origin',
    'access-control-expose-headers',
    'timing-allow-origin',
    'vary',
  ])
  equal(open(page)['access-control-allow-origin'], page)
  equal(open(page)['timing-allow-origin'], page)
  for (const name of exposed) equal(open(page)['access-control-expose-headers']?.split(', ').includes(name), true, name)
  for (const other of [undefined, '*', 'null', 'https://a.example.evil', 'https://A.example', 'http://a.example'])
    deepEqual(open(other), { vary: 'origin' }, other)
})

test('a star admits every page, by its own name', () => {
  equal(openTo(['*'])('https://b.example')['access-control-allow-origin'], 'https://b.example')
  deepEqual(openTo(['*'])(undefined), { vary: 'origin' })
})

test('a preflight of a listed page is answered with the methods of the path and the headers that may be sent', async () => {
  await using door = await openCors([page])
  const { status, headers, text } = await door.say(head('OPTIONS', '/a?x=1', page))
  deepEqual([status, text], [204, ''])
  const named = ['authorization', 'content-type', 'openai-organization', 'openai-project', 'traceparent', 'tracestate']
  const allowed = [...named, ...stainless]
  deepEqual(headers['access-control-allow-headers']?.split(', ').toSorted(), allowed.toSorted())
  const { 'access-control-expose-headers': _, 'access-control-allow-headers': _sent, ...rest } = pageHeaders(headers)
  deepEqual(rest, {
    'access-control-allow-origin': page,
    'access-control-allow-methods': 'POST, GET',
    'access-control-max-age': '600',
    'timing-allow-origin': page,
    vary: 'origin',
  })
  equal(headers['x-request-id'], 'id-1')
})

test('everything else goes on, open to listed pages alone', async () => {
  await using door = await openCors([page])
  for (const [method, path, origin, opened] of [
    ['OPTIONS', '/b', page, page],
    ['OPTIONS', '/a', 'https://b.example', undefined],
    ['OPTIONS', '/a', undefined, undefined],
    ['POST', '/a', page, page],
    ['POST', '/a', undefined, undefined],
  ] as const) {
    const { status, headers, text } = await door.say(head(method, path, origin))
    deepEqual(
      [status, text, headers['access-control-allow-origin']],
      [200, 'in', opened],
      `${method} ${path} ${origin}`,
    )
    equal(headers['access-control-max-age'], undefined)
  }
})
