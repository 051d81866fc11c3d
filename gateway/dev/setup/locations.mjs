import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {object} Locations
 * @property {string} root the repository
 * @property {string} state the ignored state folder of this checkout
 * @property {string} bin Go programs
 * @property {string} stamps what was built from which sources
 * @property {string} cache downloads, shared by all checkouts of this user
 * @property {string} partsFile where the finished parts are listed for the programs that start them
 */

/** The repository that this file belongs to. */
export const repositoryRoot = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '')

/**
 * @param {{root?: string, env?: NodeJS.ProcessEnv}} [options]
 * @returns {Locations}
 */
export function locate({ root = repositoryRoot, env = process.env } = {}) {
  const state = join(root, '.hearth')
  return {
    root,
    state,
    bin: join(state, 'bin'),
    stamps: join(state, 'stamps'),
    cache: locateCache(env),
    partsFile: join(state, 'parts.json'),
  }
}

/** @param {NodeJS.ProcessEnv} env */
function locateCache(env) {
  if (env['HEARTH_CACHE']) return env['HEARTH_CACHE']
  if (env['XDG_CACHE_HOME']) return join(env['XDG_CACHE_HOME'], 'hearth')
  return join(homedir(), '.cache', 'hearth')
}
