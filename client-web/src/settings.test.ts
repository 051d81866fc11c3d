import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createSettingsStore } from './settings.ts'

function createStorage(): Storage {
  const values = new Map<string, string>()
  return {
    get length() {
      return values.size
    },
    clear: () => values.clear(),
    key: (index) => [...values.keys()][index] ?? null,
    getItem: (name) => values.get(name) ?? null,
    setItem: (name, value) => void values.set(name, value),
    removeItem: (name) => void values.delete(name),
  }
}

const defaults = { baseUrl: 'https://a.example/v1', model: 'small' }

it('a key is kept in the session alone, until it is to be remembered, and forgotten again', () => {
  const session = createStorage()
  const local = createStorage()
  const store = createSettingsStore(session, local, defaults)
  store.save({ ...defaults, key: 'hk_1', remembersKey: false })
  assert.equal(local.getItem('hearth.key'), null)
  assert.equal(createSettingsStore(createStorage(), local, defaults).load().key, '')
  store.save({ ...defaults, key: 'hk_1', remembersKey: true })
  assert.equal(session.getItem('hearth.key'), null)
  assert.deepEqual(createSettingsStore(createStorage(), local, defaults).load(), {
    ...defaults,
    key: 'hk_1',
    remembersKey: true,
  })
  store.save({ ...defaults, key: 'hk_1', remembersKey: false })
  assert.equal(local.getItem('hearth.key'), null)
})

it('a default is not written down, so a new default of the server reaches the device', () => {
  const local = createStorage()
  createSettingsStore(createStorage(), local, defaults).save({ ...defaults, key: '', remembersKey: false })
  const moved = { ...defaults, baseUrl: 'https://b.example/v1' }
  assert.equal(createSettingsStore(createStorage(), local, moved).load().baseUrl, moved.baseUrl)
})

it('what somebody else wrote into the storage does not break the page', () => {
  const local = createStorage()
  local.setItem('hearth.settings', '{"baseUrl":7')
  assert.equal(createSettingsStore(createStorage(), local, defaults).load().baseUrl, defaults.baseUrl)
})
