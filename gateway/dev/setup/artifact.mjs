import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { isProcessAlive } from './process-alive.mjs'

/**
 * A folder in the cache that is whole or absent: it is filled under a temporary name, each file is recorded with size,
 * time and SHA-256 in a stamp, and one rename makes it visible.
 */

const stampFile = 'stamp.json'

/**
 * @typedef {{path: string, bytes: number, mtimeMs: number, sha256: string}} StampedFile
 * @typedef {{files: StampedFile[]}} Stamp
 */

/**
 * Whether the folder holds exactly what was once verified. Only sizes and times are compared; where a time differs,
 * the content is hashed again, so a damaged file is noticed and an untouched copy is kept.
 * @param {string} folder
 * @returns {Promise<boolean>}
 */
export async function isArtifactIntact(folder) {
  /** @type {Stamp} */
  let stamp
  try {
    stamp = JSON.parse(await readFile(join(folder, stampFile), 'utf8'))
  } catch {
    return false
  }
  let touched = false
  for (const file of stamp.files) {
    const found = await stat(join(folder, file.path)).catch(() => undefined)
    if (found === undefined || found.size !== file.bytes) return false
    if (found.mtimeMs === file.mtimeMs) continue
    if ((await hashFile(join(folder, file.path))) !== file.sha256) return false
    file.mtimeMs = found.mtimeMs
    touched = true
  }
  if (touched) await writeAtomically(join(folder, stampFile), JSON.stringify(stamp))
  return true
}

/**
 * Fills a new folder by `fill(temporaryFolder)` and puts it in the place of `folder`. On any failure the temporary
 * folder is removed and `folder` is left as it was.
 * @param {string} folder
 * @param {string} temporaryParent on the same file system as `folder`
 * @param {(temporary: string) => Promise<void>} fill
 */
export async function commitArtifact(folder, temporaryParent, fill) {
  const scratch = join(temporaryParent, `${process.pid}-${randomUUID().slice(0, 8)}`)
  const fresh = join(scratch, 'fresh')
  await mkdir(fresh, { recursive: true })
  try {
    await fill(fresh)
    await stampFolder(fresh)
    await mkdir(dirname(folder), { recursive: true })
    await rename(folder, join(scratch, 'old')).catch(ignoreMissing)
    await rename(fresh, folder)
    await syncPath(dirname(folder))
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/**
 * Removes what set-ups that no longer run have left in the folder for temporary files.
 * @param {string} temporaryParent
 */
export async function sweepTemporary(temporaryParent) {
  for (const name of await readdir(temporaryParent).catch(() => [])) {
    const pid = Number(name.split('-')[0])
    if (pid > 0 && isProcessAlive(pid)) continue
    await rm(join(temporaryParent, name), { recursive: true, force: true })
  }
}

/** @param {string} folder */
async function stampFolder(folder) {
  /** @type {StampedFile[]} */
  const files = []
  for (const path of await listFiles(folder)) {
    const full = join(folder, path)
    await syncPath(full)
    const { size, mtimeMs } = await stat(full)
    files.push({ path, bytes: size, mtimeMs, sha256: await hashFile(full) })
  }
  await writeAtomically(join(folder, stampFile), JSON.stringify({ files }))
}

/**
 * All files below a folder, links included, in a fixed order, as paths relative to it.
 * @param {string} folder
 * @param {(path: string) => boolean} [keep] also asked for folders
 * @returns {Promise<string[]>}
 */
export async function listFiles(folder, keep = () => true) {
  /** @type {string[]} */
  const found = []
  const walk = async (/** @type {string} */ inside) => {
    const entries = await readdir(join(folder, inside), { withFileTypes: true })
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = inside === '' ? entry.name : `${inside}/${entry.name}`
      if (!keep(path)) continue
      if (entry.isDirectory()) await walk(path)
      else if (entry.isFile() || (await isLinkToFile(join(folder, path)))) found.push(path)
    }
  }
  await walk('')
  return found
}

/** @param {string} path */
const isLinkToFile = async (path) => (await stat(path).catch(() => undefined))?.isFile() ?? false

/**
 * One hash over the names and contents of files: it changes exactly when a source changed.
 * @param {string} folder
 * @param {readonly string[]} paths
 */
export async function hashSources(folder, paths) {
  const hash = createHash('sha256')
  for (const path of paths) hash.update(`${path}\0`).update(await readFile(join(folder, path)))
  return hash.digest('hex')
}

/** @param {string} path */
export async function hashFile(path) {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash)
  return hash.digest('hex')
}

/**
 * The bytes below a folder now; what vanishes while it looks counts as nothing.
 * @param {string} folder
 */
export async function measureFolder(folder) {
  const entries = await readdir(folder, { recursive: true }).catch(() => [])
  const sizes = await Promise.all(entries.map((path) => stat(join(folder, path)).catch(() => undefined)))
  return sizes.reduce((sum, found) => sum + (found?.isFile() ? found.size : 0), 0)
}

/** @param {string} file @param {string} text */
export async function writeAtomically(file, text) {
  await mkdir(dirname(file), { recursive: true })
  const temporary = `${file}.${process.pid}-${randomUUID().slice(0, 8)}`
  await writeFile(temporary, text)
  await syncPath(temporary)
  await rename(temporary, file)
}

/** @param {string} path */
async function syncPath(path) {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** @param {NodeJS.ErrnoException} error */
function ignoreMissing(error) {
  if (error.code !== 'ENOENT') throw error
}
