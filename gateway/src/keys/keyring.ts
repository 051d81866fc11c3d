import { timingSafeEqual } from 'node:crypto'
import { statSync } from 'node:fs'
import type { AnswerTimeouts } from '../config.ts'
import { type HeartbeatSettings, heartbeatDefault } from '../upstream/heartbeat.ts'
import { cacheSaltOf, hashKey, keyIdOf } from './key.ts'
import { type KeyRecord, readKeysFile } from './keys-file.ts'

/** Who calls, as far as the gateway needs to know. */
export interface Caller {
  readonly keyId: string
  readonly keyName: string
  /** Whether fields that the gateway does not know are refused; else they are dropped and named. */
  readonly strictFields: boolean
  /** For the engine alone; never logged, never in an answer. */
  readonly cacheSalt: string
  readonly heartbeat: HeartbeatSettings
  /** Those that this key has of its own. */
  readonly timeouts: Partial<AnswerTimeouts>
  /** Whether this key may use a model that has these names. */
  mayUse(names: readonly string[]): boolean
}

export interface Keyring {
  /** The caller behind the text of a key, or undefined. Takes the same time for an unknown and a wrong key. */
  identify(text: string, nowMs: number): Caller | undefined
  /** Stops following the file. */
  close(): void
}

export interface KeyringOptions {
  readonly path: string
  readonly everyMs: number
  /** Called when the file went bad (the last good keys stay in force) and when it is good again. */
  readonly onChange: (change: { readonly keys: number; readonly problem?: string }) => void
}

const absentHash = Buffer.from(hashKey(''))

/**
 * Opens a keys file and follows it: a change is in force within `everyMs`. A file that turns bad keeps the last good
 * keys and says so. Throws a KeysFileError when the file cannot be used at the start. The caller closes it.
 */
export function openKeyring(options: KeyringOptions): Keyring {
  // The mark comes before the keys: a change between the two is then seen at the next look.
  let mark = markOf(options.path)
  let keys = index(readKeysFile(options.path))
  const follow = () => {
    const seen = markOf(options.path)
    if (seen === mark) return
    mark = seen
    try {
      keys = index(readKeysFile(options.path))
      options.onChange({ keys: keys.size })
    } catch (error) {
      options.onChange({ keys: keys.size, problem: error instanceof Error ? error.message : String(error) })
    }
  }
  const timer = setInterval(follow, options.everyMs)
  timer.unref()
  return { identify: (text, nowMs) => identify(keys, text, nowMs), close: () => clearInterval(timer) }
}

/** A key in force, and who comes with it; both are made once, since every request asks. */
interface Entry {
  readonly hash: Buffer
  readonly expiresMs: number
  readonly caller: Caller
}

type Keys = ReadonlyMap<string, Entry>

function index(records: readonly KeyRecord[]): Keys {
  return new Map(records.map((record) => [record.id, toEntry(record)]))
}

function toEntry({ id, hash, name, models, strictFields, expires, ...own }: KeyRecord): Entry {
  const caller: Caller = {
    keyId: id,
    keyName: name,
    strictFields: strictFields === true,
    cacheSalt: cacheSaltOf(hash),
    heartbeat: heartbeatOf(own),
    timeouts: own.timeouts ?? {},
    mayUse: (names) => models === undefined || names.some((one) => models.includes(one)),
  }
  return {
    hash: Buffer.from(hash),
    expiresMs: expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires),
    caller,
  }
}

function heartbeatOf({ heartbeat, earlyHeaders }: Pick<KeyRecord, 'heartbeat' | 'earlyHeaders'>): HeartbeatSettings {
  return { ...heartbeatDefault, ...heartbeat, ...(earlyHeaders === undefined ? {} : { earlyHeaders }) }
}

function identify(keys: Keys, text: string, nowMs: number): Caller | undefined {
  const id = keyIdOf(text)
  const entry = id === undefined ? undefined : keys.get(id)
  // Both sides are hashes of one length; an unknown id is compared too, so that time tells nothing.
  const same = timingSafeEqual(Buffer.from(hashKey(text)), entry === undefined ? absentHash : entry.hash)
  return same && entry !== undefined && nowMs < entry.expiresMs ? entry.caller : undefined
}

/** Tells one version of the file from another: a mounted secret is swapped by a link, so the inode counts too. */
function markOf(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path)
    return `${ino}:${size}:${mtimeMs}`
  } catch (error) {
    return `not there: ${error}`
  }
}
