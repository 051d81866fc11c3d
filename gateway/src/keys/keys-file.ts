import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { ownTimeoutsSchema } from '../config-schema.ts'
import { wordsOf } from '../errors.ts'
import { describeIssue } from '../problems.ts'

/** Proxies on the way cut what is silent for two minutes, some for one: later than this a heartbeat comes too late for all. */
const everyMsMax = 110_000
const everyMsMin = 100
const everyText = `wants ${everyMsMin} to ${everyMsMax} milliseconds`

const heartbeatSchema = z.strictObject({
  form: z.enum(['comment', 'empty-delta', 'off']),
  everyMs: z.int(everyText).min(everyMsMin, everyText).max(everyMsMax, everyText).exactOptional(),
})

const keySchema = z.strictObject({
  id: z.string().regex(/^[0-9A-Za-z]{10}$/, 'wants the 10 letters and digits of a key id'),
  hash: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'wants sha256: and 64 hex digits'),
  name: z.string().min(1).max(128),
  models: z.array(z.string()).optional(),
  limits: z.strictObject({}).optional(),
  strictFields: z.boolean().optional(),
  heartbeat: heartbeatSchema.exactOptional(),
  earlyHeaders: z.boolean().exactOptional(),
  timeouts: ownTimeoutsSchema.exactOptional(),
  expires: z.iso.datetime().optional(),
  created: z.iso.datetime().optional(),
})
const fileSchema = z.strictObject({ version: z.literal(1), keys: z.array(keySchema) })

/**
 * One key as the file holds it. `models` absent: every model. `strictFields`: unknown fields are refused, not dropped.
 * `heartbeat` and `earlyHeaders`: how a silent stream behaves. `timeouts`: the clocks that this key has of its own.
 */
export type KeyRecord = z.output<typeof keySchema>

/** Thrown when the keys file cannot be used: names the file, the field and what is wanted. */
export class KeysFileError extends Error {
  override readonly name = 'KeysFileError'
}

/** Reads and checks a keys file. Throws a KeysFileError. */
export function readKeysFile(path: string): readonly KeyRecord[] {
  let document: unknown
  try {
    document = JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new KeysFileError(`Cannot read the keys file "${path}": ${cause instanceof Error ? wordsOf(cause) : cause}`, {
      cause,
    })
  }
  const result = fileSchema.safeParse(document)
  if (!result.success) {
    const problems = result.error.issues.flatMap((issue) => describeIssue(document, issue, isShown))
    throw new KeysFileError(`The keys file "${path}" is not valid: ${problems.join('; ')}`)
  }
  const ids = new Set(result.data.keys.map((key) => key.id))
  if (ids.size < result.data.keys.length) throw new KeysFileError(`The keys file "${path}" holds a key id twice`)
  return result.data.keys
}

/** Whether a value may be told: where these belong, people paste the text of a key by mistake. */
function isShown(path: readonly PropertyKey[]): boolean {
  return path.every((name) => name !== 'id' && name !== 'hash' && name !== 'name')
}

/**
 * Changes a keys file: reads it (an absent one is empty), applies `change`, writes it anew and renames it into place,
 * so that a reader sees the old file or the new one. Writers take turns by a lock file. Throws a KeysFileError.
 */
export function changeKeysFile(path: string, change: (keys: readonly KeyRecord[]) => readonly KeyRecord[]): void {
  mkdirSync(dirname(path), { recursive: true })
  const lock = `${path}.lock`
  takeLock(lock)
  try {
    const before = statSync(path, { throwIfNoEntry: false }) === undefined ? [] : readKeysFile(path)
    writeAtomically(path, `${JSON.stringify({ version: 1, keys: change(before) }, null, 2)}\n`)
  } finally {
    rmSync(lock, { force: true })
  }
}

const lockTries = 600
const lockStaleMs = 10_000

function takeLock(lock: string): void {
  for (let attempt = 0; attempt < lockTries; attempt += 1) {
    try {
      closeSync(openSync(lock, 'wx', 0o600))
      return
    } catch (error) {
      if (!(error instanceof Error) || Reflect.get(error, 'code') !== 'EEXIST') throw error
      if (isStale(lock)) removeStale(lock)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
  throw new KeysFileError(`Another program holds "${lock}"; remove it if none is running`)
}

/** A writer that was killed leaves its lock behind; no write takes this long. */
function isStale(lock: string): boolean {
  const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs
  return since !== undefined && Date.now() - since > lockStaleMs
}

/** One program at a time looks and removes: a second one might remove the lock that a third took in between. */
function removeStale(lock: string): void {
  const turn = `${lock}.stale`
  try {
    closeSync(openSync(turn, 'wx', 0o600))
  } catch {
    return
  }
  if (isStale(lock)) rmSync(lock, { force: true })
  rmSync(turn, { force: true })
}

function writeAtomically(path: string, text: string): void {
  const fresh = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`)
  try {
    const file = openSync(fresh, 'wx', 0o600)
    try {
      // Unlike one write, this goes on until the disk took everything or an error was thrown.
      writeFileSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(fresh, path)
  } catch (error) {
    rmSync(fresh, { force: true })
    throw error
  }
}
