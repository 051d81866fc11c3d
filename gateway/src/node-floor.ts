/**
 * The oldest Node of each line that may face the internet: below it a compressed body can run code
 * (CVE-2026-111497, out-of-bounds write in the bundled Brotli decoder).
 */
const floors: ReadonlyMap<number, readonly [minor: number, patch: number]> = new Map([
  [22, [23, 4]],
  [24, [22, 1]],
  [26, [12, 1]],
])
const newestLine = 26

/** Why this version of Node must not serve the public, or undefined when it may. */
export function unsafeNode(version: string): string | undefined {
  const [major = 0, minor = 0, patch = 0] = version.replace(/^v/, '').split('.').map(Number)
  const floor = floors.get(major)
  if (floor === undefined)
    return major > newestLine ? undefined : `Node ${version} gets no security fixes; use Node 24.22.1 or newer`
  if (minor > floor[0] || (minor === floor[0] && patch >= floor[1])) return undefined
  return `Node ${version} is open to CVE-2026-111497; use ${major}.${floor[0]}.${floor[1]} or newer`
}
