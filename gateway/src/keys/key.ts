import { createHash, createHmac, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** A new API key: the text that is shown once, and what may be stored of it. */
export interface NewKey {
  readonly id: string
  readonly text: string
  readonly hash: string
}

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const idChars = 10
/** 43 characters of 62 hold 256 bits. */
const secretChars = 43
const checksumChars = 6
const form = /^hk_([0-9A-Za-z]{10})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/

/** Makes a key of the form `hk_<id>_<secret><checksum>` from the system's randomness. */
export function createKey(): NewKey {
  const id = randomText(idChars)
  const secret = randomText(secretChars)
  const text = `hk_${id}_${secret}${checksum(`${id}_${secret}`)}`
  return { id, text, hash: hashKey(text) }
}

/** The id inside a key's text, or undefined when the text is mistyped: the checksum tells without a look-up. */
export function keyIdOf(text: string): string | undefined {
  const [, id, secret, sum] = form.exec(text) ?? []
  if (id === undefined || secret === undefined) return undefined
  return checksum(`${id}_${secret}`) === sum ? id : undefined
}

/** What is stored of a key: enough to recognise it, nothing to use it. A 256-bit secret needs no slow hash. */
export function hashKey(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

/**
 * What an engine mixes into its cache of prompts for this key, so that nobody can tell by the time of an answer what
 * another key asked. It follows from the stored hash: the same on each instance and after each start, not to be guessed
 * without the keys file.
 */
export function cacheSaltOf(hash: string): string {
  return createHmac('sha256', hash).update('hearth cache_salt 1').digest('hex')
}

function randomText(chars: number): string {
  let text = ''
  while (text.length < chars) {
    // 248 = 4 × 62: bytes above it would favour the first letters.
    for (const byte of randomBytes(chars)) if (byte < 248 && text.length < chars) text += alphabet[byte % 62]
  }
  return text
}

function checksum(text: string): string {
  let value = crc32(text)
  let out = ''
  for (let digit = 0; digit < checksumChars; digit += 1) {
    out = alphabet[value % 62] + out
    value = Math.floor(value / 62)
  }
  return out
}
