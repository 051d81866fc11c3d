import { readFileSync } from 'node:fs'

/**
 * @typedef {{file: string, bytes: number, sha256: string}} PinnedFile
 * @typedef {{package: string, version: string, wheels: PinnedFile[]}} PinnedWheel
 * @typedef {object} Pins
 * @property {{version: string, tarballs: Record<string, {package: string, bytes: number, sha256: string} | undefined>}} node
 * @property {PinnedWheel} traefik
 * @property {PinnedWheel} engine
 * @property {PinnedWheel & PinnedFile} model
 * @property {PinnedWheel} caddy
 * @property {PinnedWheel[]} uvicorn itself and all that it imports
 */

/** Every download: exact version, size and SHA-256. @type {Pins} */
export const pins = JSON.parse(readFileSync(new URL('../pins.json', import.meta.url), 'utf8'))

/**
 * What pip is asked for: all known hashes, and the size of the file that this platform will most likely get.
 * @param {PinnedWheel} pinned
 * @param {{platform?: string, arch?: string}} [machine]
 */
export function toDownload(pinned, { platform = process.platform, arch = process.arch } = {}) {
  const system = platform === 'darwin' ? 'macosx' : 'linux'
  const machine = arch === 'arm64' ? /arm64|aarch64/ : /x86_64/
  const likely = pinned.wheels.find(
    ({ file }) => file.endsWith('-any.whl') || (file.includes(system) && machine.test(file)),
  )
  return {
    package: pinned.package,
    version: pinned.version,
    bytes: (likely ?? pinned.wheels[0])?.bytes ?? 0,
    sha256: pinned.wheels.map((wheel) => wheel.sha256),
  }
}
