import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { openApp } from '../../test/in-process.ts'
import type { Keyring } from '../keys/keyring.ts'
import { heartbeatDefault } from '../upstream/heartbeat.ts'
import { authenticate } from './authenticate.ts'
import { InFlight, lifecycle } from './lifecycle.ts'

/** A keyring that knows one key and keeps what it was asked. */
function openKeys() {
  const asked: [string, number][] = []
  const keyring: Pick<Keyring, 'identify'> = {
    identify: (text, nowMs) => {
      asked.push([text, nowMs])
      return text === 'hk_good'
        ? {
            keyId: 'k1',
            keyName: 'test',
            strictFields: false,
            cacheSalt: '',
            heartbeat: heartbeatDefault,
            timeouts: {},
            mayUse: () => true,
          }
        : undefined
    },
  }
  return { asked, keyring: { ...keyring, close: () => {} } }
}

function openGuarded(keyring: Keyring) {
  return openApp((app, { options }) => {
    app.use(lifecycle({ ...options, inFlight: new InFlight(), totalMs: 5_000, callerStallMs: 5_000, now: () => 0 }))
    app.use(
      authenticate(
        keyring,
        () => 42,
        () => 0,
      ),
    )
    app.get('/a', (c) => c.text(c.get('request').caller?.keyId ?? 'nobody'))
  })
}

const get = (authorization?: string) =>
  `GET /a HTTP/1.1\r\nHost: a\r\n${authorization === undefined ? '' : `Authorization: ${authorization}\r\n`}\r\n`

test('the caller behind a key is known to the handler and named by its id in the record', async () => {
  const { asked, keyring } = openKeys()
  await using door = await openGuarded(keyring)
  const { status, text } = await door.say(get('Bearer hk_good'))
  deepEqual([status, text, asked], [200, 'k1', [['hk_good', 42]]])
  equal((await door.record(1))['keyId'], 'k1')
})

test('the word Bearer counts in any case, with any number of spaces', async () => {
  const { keyring } = openKeys()
  await using door = await openGuarded(keyring)
  for (const form of ['bearer hk_good', 'BEARER   hk_good', 'Bearer hk_good  '])
    equal((await door.say(get(form))).status, 200, form)
})

test('no key, a key in another form and an unknown key reach no handler', async () => {
  const { asked, keyring } = openKeys()
  await using door = await openGuarded(keyring)
  equal((await door.say(get())).code, 'missing_api_key')
  deepEqual(asked, [])
  const forms = [
    '',
    'Bearer',
    'Bearer ',
    'hk_good',
    'Basic hk_good',
    'xBearer hk_good',
    'Bearerhk_good',
    'Bearer hk_good hk_good',
  ]
  for (const form of forms) {
    const { status, code } = await door.say(get(form))
    deepEqual([status, code], [401, 'invalid_api_key'], form)
  }
  equal((await door.say(get('Bearer hk_bad'))).code, 'invalid_api_key')
  // What has another form is no key at all, but is compared like one.
  deepEqual(asked, [...forms.map(() => ['', 42]), ['hk_bad', 42]])
  equal((await door.record(2))['keyId'], undefined)
})
