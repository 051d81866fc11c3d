import { mkdir, stat, statfs } from 'node:fs/promises'
import { SetupError } from './setup-error.mjs'

/**
 * @typedef {{name: string, folder: string, megabytes: number}} DiskNeed
 * @typedef {(folder: string) => Promise<{device: number, freeMegabytes: number}>} Look
 */

/**
 * Refuses to begin what would not fit: needs on one file system are added up.
 * @param {readonly DiskNeed[]} needs
 * @param {Look} [look]
 * @throws {SetupError} naming the folder, what is free and what is wanted
 */
export async function checkDisk(needs, look = lookAtDisk) {
  /** @type {Map<number, {folder: string, free: number, wanted: number, names: string[]}>} */
  const disks = new Map()
  for (const need of needs) {
    const { device, freeMegabytes } = await look(need.folder)
    const disk = disks.get(device) ?? { folder: need.folder, free: freeMegabytes, wanted: 0, names: [] }
    disk.wanted += need.megabytes
    disk.names.push(need.name)
    disks.set(device, disk)
  }
  const short = [...disks.values()].filter((disk) => disk.free < disk.wanted)
  if (short.length === 0) return
  const lines = short.map(
    (disk) =>
      `  - ${disk.folder}: ${Math.floor(disk.free)} MB free, ${disk.wanted} MB wanted for ${disk.names.join(', ')}`,
  )
  throw new SetupError(
    `Not enough disk space:\n${lines.join('\n')}\nFree some space, or point HEARTH_CACHE (downloads), GOCACHE and GOMODCACHE (Go builds) at a larger disk.`,
  )
}

/** @type {Look} */
async function lookAtDisk(folder) {
  await mkdir(folder, { recursive: true })
  const [{ dev }, { bavail, bsize }] = await Promise.all([stat(folder), statfs(folder)])
  return { device: dev, freeMegabytes: (bavail * bsize) / 1e6 }
}
