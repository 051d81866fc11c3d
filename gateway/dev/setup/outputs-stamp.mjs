import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeAtomically } from './artifact.mjs'

/**
 * Whether the stamp says that these sources were built, and the outputs are still the ones it saw.
 * @param {string} file
 * @param {string} sources hash of the sources
 * @param {string} folder
 */
export async function readOutputsStamp(file, sources, folder) {
  try {
    const stamp = JSON.parse(await readFile(file, 'utf8'))
    if (stamp.sources !== sources) return false
    const now = await describeOutputs(folder, Object.keys(stamp.outputs))
    return JSON.stringify(now) === JSON.stringify(stamp.outputs)
  } catch {
    return false
  }
}

/**
 * @param {string} file
 * @param {string} sources
 * @param {string} folder
 * @param {readonly string[]} outputs
 */
export async function writeOutputsStamp(file, sources, folder, outputs) {
  await writeAtomically(file, JSON.stringify({ sources, outputs: await describeOutputs(folder, outputs) }))
}

/** @param {string} folder @param {readonly string[]} names */
async function describeOutputs(folder, names) {
  /** @type {Record<string, string>} */
  const described = {}
  for (const name of names) {
    const { size, mtimeMs } = await stat(join(folder, name))
    described[name] = `${size} ${mtimeMs}`
  }
  return described
}
