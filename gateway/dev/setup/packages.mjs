import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { writeAtomically } from './artifact.mjs'
import { CommandError, runCommand } from './command.mjs'
import { node } from './node.mjs'
import { platform } from './part.mjs'
import { SetupError } from './setup-error.mjs'

/** The npm packages of all workspaces, exactly as the lock file names them. @type {import('./part.mjs').Part} */
export const packages = {
  name: 'packages',
  after: ['node'],
  prerequisites: ['node', 'npm'],
  needs: ({ at }) => [{ name: 'npm packages', folder: at.root, megabytes: 600 }],
  lockFile: ({ at }) => join(at.state, 'locks', 'packages.lock'),
  async check({ at }) {
    const wanted = await describeLock(at.root)
    const stamp = await readFile(stampPath(at.root), 'utf8').catch(() => '')
    if (stamp === wanted) return {}
    if (!(await isInstalled(at.root))) return undefined
    await writeAtomically(stampPath(at.root), wanted)
    return {}
  },
  async provide(context) {
    const { at, progress, signal } = context
    const step = progress.start('npm packages')
    await rm(stampPath(at.root), { force: true })
    try {
      await installWithRetry(at.root, await underOurNode(context), signal)
    } catch (error) {
      step.fail()
      signal?.throwIfAborted()
      throw error
    }
    await writeAtomically(stampPath(at.root), await describeLock(at.root))
    step.done()
  },
}

/**
 * npm leaves out optional packages that want a newer Node than the one it runs under, without a word.
 * @param {import('./part.mjs').Context} context
 * @returns {Promise<NodeJS.ProcessEnv>}
 */
async function underOurNode(context) {
  const program = (await node.check(context))?.['node']
  const { env } = context
  return program === undefined ? env : { ...env, PATH: [dirname(program), env['PATH'] ?? ''].join(delimiter) }
}

/** @param {string} root @param {NodeJS.ProcessEnv} env @param {AbortSignal | undefined} signal */
async function installWithRetry(root, env, signal) {
  const install = () => runCommand('npm', ['ci', '--no-audit', '--no-fund'], { cwd: root, env, signal })
  try {
    await install()
  } catch (error) {
    const output = error instanceof CommandError ? error.output : ''
    signal?.throwIfAborted()
    if (/ENOSPC|No space left/i.test(output)) throw error
    if (/can only install packages when your package\.json and package-lock\.json/.test(output))
      throw new SetupError(`npm packages: package.json and package-lock.json differ. Run: npm install\n${output}`)
    await install().catch((again) => {
      throw new SetupError(
        `npm packages: npm ci failed twice. Check the network, the proxy and the configured registry, then run the same command again.\n${again.output ?? again}`,
      )
    })
  }
}

/** @param {string} root */
const stampPath = (root) => join(root, 'node_modules', '.hearth-stamp')

/** @param {string} root */
async function describeLock(root) {
  const lock = await readFile(join(root, 'package-lock.json'))
  return `${createHash('sha256').update(lock).digest('hex')} ${platform}\n`
}

/**
 * Whether npm itself has recorded every package of the lock file as installed, for someone who ran `npm install`.
 * npm writes that record last, so a broken installation has none.
 * @param {string} root
 */
async function isInstalled(root) {
  const wanted = await readLock(join(root, 'package-lock.json'))
  const found = await readLock(join(root, 'node_modules', '.package-lock.json'))
  if (wanted === undefined || found === undefined) return false
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes('node_modules/') || entry.link) continue
    const has = found[path]
    if (has === undefined ? !(entry.optional || entry.devOptional || entry.peer) : has.version !== entry.version)
      return false
  }
  return true
}

/**
 * @param {string} path
 * @returns {Promise<Record<string, {version?: string, optional?: boolean, devOptional?: boolean, peer?: boolean, link?: boolean}> | undefined>}
 */
async function readLock(path) {
  try {
    return JSON.parse(await readFile(path, 'utf8')).packages
  } catch {
    return undefined
  }
}
