import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { isProcessAlive } from './process-alive.mjs'

const beatMs = 5_000
const staleMs = 60_000

/**
 * Runs `work` while this process alone holds the lock file, so two set-ups at once do not write the same part.
 * A lock whose owner is gone is taken over.
 * @template T
 * @param {string} file
 * @param {() => Promise<T>} work
 * @param {{signal?: AbortSignal | undefined, onWait?: (owner: string) => void, pollMs?: number}} [options]
 * @returns {Promise<T>}
 */
export async function withLock(file, work, { signal, onWait, pollMs = 200 } = {}) {
  mkdirSync(dirname(file), { recursive: true })
  let told = false
  while (!tryTake(file)) {
    signal?.throwIfAborted()
    if (!told) onWait?.(describeOwner(file))
    told = true
    await wait(pollMs, undefined, { signal })
  }
  const beat = setInterval(() => touch(file), beatMs)
  beat.unref()
  try {
    return await work()
  } finally {
    clearInterval(beat)
    rmSync(file, { force: true })
  }
}

/** @param {string} file */
function tryTake(file) {
  if (isStale(file)) removeStale(file)
  try {
    writeFileSync(file, JSON.stringify({ pid: process.pid, host: hostname() }), { flag: 'wx' })
    return true
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false
    throw error
  }
}

/**
 * Two processes may find the same stale lock: the one that comes late has moved a fresh lock aside and puts it back.
 * @param {string} file
 */
function removeStale(file) {
  const aside = `${file}.${process.pid}`
  try {
    renameSync(file, aside)
    if (!isStale(aside)) linkSync(aside, file)
  } catch {
    // Someone else was faster; the next try sees their lock.
  }
  rmSync(aside, { force: true })
}

/** @param {string} file */
function isStale(file) {
  try {
    const silentMs = Date.now() - statSync(file).mtimeMs
    if (silentMs > staleMs) return true
    const owner = JSON.parse(readFileSync(file, 'utf8'))
    return owner.host === hostname() && !isProcessAlive(owner.pid)
  } catch {
    // Gone, or just being written: whoever takes it next decides.
    return false
  }
}

/** @param {string} file */
function touch(file) {
  try {
    utimesSync(file, new Date(), new Date())
  } catch {
    // The state folder was deleted under us: there is nothing left to guard.
  }
}

/** @param {string} file */
function describeOwner(file) {
  try {
    return `process ${JSON.parse(readFileSync(file, 'utf8')).pid}`
  } catch {
    return 'another process'
  }
}
