import { equal, match, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cacheSaltOf, createKey, hashKey, keyIdOf } from './key.ts'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const anyKey = fc.constant(undefined).map(createKey)

test('a new key has the form hk_<id>_<secret><checksum>, and its id reads back', () => {
  const { id, text, hash } = createKey()
  match(text, /^hk_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}$/)
  match(hash, /^sha256:[0-9a-f]{64}$/)
  equal(keyIdOf(text), id)
  equal(hashKey(text), hash)
})

test('a key of an earlier version still reads: the form and the checksum stay as they are', () => {
  equal(keyIdOf(`hk_${'A'.repeat(10)}_${'b'.repeat(43)}3R7AUO`), 'A'.repeat(10))
})

test('a thousand keys are a thousand ids and a thousand secrets', () => {
  const keys = Array.from({ length: 1000 }, createKey)
  equal(new Set(keys.map(({ id }) => id)).size, 1000)
  equal(new Set(keys.map(({ text }) => text.slice(14, 57))).size, 1000)
})

test('every letter of the alphabet is as likely as any other', () => {
  const letters = Array.from({ length: 2000 }, () => createKey().text.slice(14, 57)).join('')
  for (const letter of alphabet) {
    const share = (letters.split(letter).length - 1) / letters.length
    // 86 000 letters, 1387 of each expected: six standard deviations are 222. Without the cut at 248 eight letters gain 20 %.
    equal(Math.abs(share * 62 - 1) < 0.16, true, `${letter}: ${share}`)
  }
})

test('a key with one flipped character never verifies', () => {
  fc.assert(
    fc.property(anyKey, fc.nat(), fc.constantFrom(...alphabet, '_', '-', ' ', 'é'), ({ text }, place, letter) => {
      const at = place % text.length
      fc.pre(text[at] !== letter)
      equal(keyIdOf(text.slice(0, at) + letter + text.slice(at + 1)), undefined)
    }),
    { numRuns: 2000 },
  )
})

test('a key with two neighbours swapped, a character lost or one doubled never verifies', () => {
  fc.assert(
    fc.property(anyKey, fc.nat(), ({ text }, place) => {
      const at = place % (text.length - 1)
      const [left = '', right = ''] = [text[at], text[at + 1]]
      equal(keyIdOf(text.slice(0, at) + text.slice(at + 1)), undefined)
      equal(keyIdOf(text.slice(0, at) + left + text.slice(at)), undefined)
      if (left !== right) equal(keyIdOf(text.slice(0, at) + right + left + text.slice(at + 2)), undefined)
    }),
    { numRuns: 1000 },
  )
})

test('text that is no key has no id', () => {
  const { text } = createKey()
  for (const other of [
    '',
    'hk_',
    text.slice(3),
    `${text}\n`,
    ` ${text}`,
    `${text}${text}`,
    text.toLowerCase(),
    'sk-123',
  ])
    equal(keyIdOf(other), undefined, JSON.stringify(other))
})

test('the stored hash gives away neither the secret nor the key', () => {
  const { text, hash } = createKey()
  notEqual(hash.includes(text.slice(14)), true)
  notEqual(hashKey(createKey().text), hash)
})

test('the salt of a key follows from its hash alone, and neither can be found in the other', () => {
  fc.assert(
    fc.property(anyKey, anyKey, (one, other) => {
      const salt = cacheSaltOf(one.hash)
      match(salt, /^[0-9a-f]{64}$/)
      equal(cacheSaltOf(one.hash), salt)
      notEqual(cacheSaltOf(other.hash), salt)
      equal(one.hash.includes(salt) || salt.includes(one.id), false)
    }),
  )
  // As it was made first: another one would empty the caches of all engines.
  equal(cacheSaltOf('sha256:00'), '04bc5f7babfcc21dd642e4e9befde260619474c0b61f2007984f0f1605d787d7')
})
