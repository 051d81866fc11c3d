import { realpathSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sweepTemporary, writeAtomically } from './setup/artifact.mjs'
import { clients, openaiPython } from './setup/clients.mjs'
import { checkDisk } from './setup/disk.mjs'
import { downloadTarball, downloadWheel } from './setup/download.mjs'
import { go } from './setup/go.mjs'
import { catchInterrupts } from './setup/interrupt.mjs'
import { headscale, stock } from './setup/lab-peers.mjs'
import { locate } from './setup/locations.mjs'
import { withLock } from './setup/lock.mjs'
import { node } from './setup/node.mjs'
import { apache, caddy, haproxy, nginx, prometheus, uvicorn } from './setup/origins.mjs'
import { packages } from './setup/packages.mjs'
import { page } from './setup/page.mjs'
import { checkPrerequisites } from './setup/prerequisites.mjs'
import { createProgress } from './setup/progress.mjs'
import { engine, model, traefik } from './setup/python.mjs'
import { explainFailure, SetupError } from './setup/setup-error.mjs'

const ordinaryParts = { packages, node, go, traefik, engine, model, page }

/** What only some tests talk to; it is made ready when it is named. @type {Record<string, import('./setup/part.mjs').Part>} */
const allParts = {
  ...ordinaryParts,
  headscale,
  stock,
  nginx,
  haproxy,
  apache,
  caddy,
  uvicorn,
  openaiPython,
  clients,
  prometheus,
}

const providesMax = 3

/** All that set-up provides unless it is told otherwise, in the order in which it is shown. */
export const partNames = Object.keys(ordinaryParts)

/**
 * Makes the named parts ready and returns their paths. What is ready is only looked at; what is not is installed,
 * built or fetched, side by side where one does not need the other.
 * @param {object} [options]
 * @param {readonly string[]} [options.parts]
 * @param {string} [options.root]
 * @param {NodeJS.ProcessEnv} [options.env]
 * @param {AbortSignal} [options.signal]
 * @param {import('./setup/progress.mjs').Progress} [options.progress]
 * @param {Partial<Pick<import('./setup/part.mjs').Context, 'downloadWheel' | 'downloadTarball'>>} [options.fetchers]
 * @returns {Promise<import('./setup/part.mjs').Outputs>}
 * @throws {SetupError} with the fix in its message
 */
export async function setUp({
  parts = partNames,
  root,
  env = process.env,
  signal,
  progress = createProgress(),
  fetchers,
} = {}) {
  const at = locate({ ...(root === undefined ? {} : { root }), env })
  const failed = new AbortController()
  const stop = signal === undefined ? failed.signal : AbortSignal.any([failed.signal, signal])
  const context = { at, env, progress, signal: stop, downloadWheel, downloadTarball, ...fetchers }
  const wanted = parts.map(findPart)
  const outputs = await Promise.all(wanted.map((part) => part.check(context)))
  const open = wanted.filter((_, index) => outputs[index] === undefined)
  try {
    if (open.length > 0) await provideAll(open, context, failed)
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    progress.close()
  }
  return await recordOutputs(at, await Promise.all(wanted.map((part, index) => outputs[index] ?? part.check(context))))
}

/**
 * @param {readonly import('./setup/part.mjs').Part[]} open
 * @param {import('./setup/part.mjs').Context} context
 * @param {AbortController} failed ends the other parts when one cannot be made
 */
async function provideAll(open, context, failed) {
  const prerequisites = [...new Set(open.flatMap((part) => part.prerequisites))]
  await checkPrerequisites(prerequisites, { env: context.env })
  await sweepTemporary(join(context.at.cache, 'tmp'))
  await checkDisk((await Promise.all(open.map((part) => part.needs(context)))).flat())
  await mkdir(join(context.at.cache, 'tmp'), { recursive: true })
  /** @type {Map<string, Promise<void>>} */
  const running = new Map()
  /** @type {unknown} */
  let firstError
  for (const part of open) {
    const before = Promise.all(part.after.map((name) => running.get(name)))
    const work = before.then(() => provideOne(part, context))
    running.set(part.name, work)
    work.catch((error) => {
      firstError ??= error
      failed.abort(error)
    })
  }
  await Promise.allSettled(running.values())
  if (firstError !== undefined) throw firstError
}

/** @param {import('./setup/part.mjs').Part} part @param {import('./setup/part.mjs').Context} context */
async function provideOne(part, context) {
  const onWait = (/** @type {string} */ owner) =>
    context.progress.note(`  ${part.name}: waiting for ${owner}, which is setting it up`)
  const lockFile = part.lockFile(context)
  try {
    await withLock(lockFile, () => provideUntilReady(part, context), { signal: context.signal, onWait })
  } catch (error) {
    throw explainFailure(part.name, error, lockFile.startsWith(context.at.cache) ? context.at.cache : context.at.root)
  }
}

/**
 * Sources may be edited while they are being built, so the result is looked at again.
 * @param {import('./setup/part.mjs').Part} part
 * @param {import('./setup/part.mjs').Context} context
 */
async function provideUntilReady(part, context) {
  for (let attempt = 1; (await part.check(context)) === undefined; attempt++) {
    if (attempt > providesMax)
      throw new SetupError(`${part.name}: changed while it was being set up. Run the same command again.`)
    await part.provide(context)
  }
}

/** @param {string} name */
function findPart(name) {
  const part = allParts[name]
  if (part === undefined)
    throw new SetupError(`unknown part "${name}": wanted one of ${Object.keys(allParts).join(', ')}`, { exitCode: 2 })
  return part
}

/** @param {import('./setup/locations.mjs').Locations} at @param {ReadonlyArray<import('./setup/part.mjs').Outputs | undefined>} found */
async function recordOutputs(at, found) {
  const outputs = Object.assign({}, ...found)
  const before = await readFile(at.partsFile, 'utf8').catch(() => '{}')
  const text = `${JSON.stringify({ ...parseObject(before), ...outputs }, null, 2)}\n`
  if (text !== before) await writeAtomically(at.partsFile, text)
  return outputs
}

/** @param {string} text @returns {Record<string, string>} */
function parseObject(text) {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

/** Whether this file was started by itself, also through a link. */
function isMain() {
  const started = process.argv[1]
  return started !== undefined && realpathSync(started) === realpathSync(fileURLToPath(import.meta.url))
}

/** `npm run setup [PART…]` */
async function main() {
  const interrupts = catchInterrupts()
  const startedAt = Date.now()
  try {
    const parts = process.argv.slice(2)
    await setUp({ ...(parts.length > 0 ? { parts } : {}), signal: interrupts.signal })
    console.error(`Set-up is complete (${((Date.now() - startedAt) / 1000).toFixed(1)} s). Next: npm start`)
  } catch (error) {
    process.exitCode = interrupts.report() ?? reportFailure(error)
  } finally {
    interrupts.release()
  }
}

/**
 * Prints a failed set-up and returns the exit status for it.
 * @param {unknown} error
 */
export function reportFailure(error) {
  console.error(
    `hearth: set-up failed. ${error instanceof SetupError ? error.message : error instanceof Error ? error.stack : error}`,
  )
  return error instanceof SetupError ? error.exitCode : 1
}

if (isMain()) await main()
