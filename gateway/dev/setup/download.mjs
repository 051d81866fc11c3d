import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashFile, measureFolder } from './artifact.mjs'
import { CommandError, runCommand } from './command.mjs'
import { SetupError } from './setup-error.mjs'

const tries = 2
const stallMs = 120_000
const measureMs = 1_000

/**
 * @typedef {object} Pinned
 * @property {string} package
 * @property {string} version
 * @property {number} bytes
 * @property {readonly string[]} sha256 any of these is right: one for each platform
 *
 * @typedef {object} DownloadContext
 * @property {string} scratch a private folder on the file system of the cache
 * @property {AbortSignal | undefined} signal
 * @property {NodeJS.ProcessEnv} env
 * @property {import('./progress.mjs').Progress} progress
 * @property {string} python
 */

/**
 * Downloads one wheel by package name with pip and returns its path inside `scratch`. Its SHA-256 is checked by pip and
 * again here. A broken download is tried once more.
 * @param {Pinned} pinned
 * @param {DownloadContext} context
 */
export async function downloadWheel(pinned, context) {
  return await download(pinned, context, async (folder, signal) => {
    const list = join(folder, 'requirements.txt')
    const hashes = pinned.sha256.map((hash) => `--hash=sha256:${hash}`).join(' ')
    await writeFile(list, `${pinned.package}==${pinned.version} ${hashes}\n`)
    const args = ['-m', 'pip', 'download', '--no-deps', '--only-binary', ':all:', '--require-hashes', '--no-cache-dir']
    args.push(
      '--progress-bar',
      'off',
      '--disable-pip-version-check',
      '--retries',
      '1',
      '-d',
      join(folder, 'wheel'),
      '-r',
      list,
    )
    await runCommand(context.python, args, { cwd: folder, env: { ...context.env, TMPDIR: folder }, signal })
    return await findOnly(join(folder, 'wheel'), '.whl')
  })
}

/**
 * Downloads one package of npm as its tarball and returns its path inside `scratch`.
 * @param {Pinned} pinned
 * @param {DownloadContext} context
 */
export async function downloadTarball(pinned, context) {
  return await download(pinned, context, async (folder, signal) => {
    const target = join(folder, 'tarball')
    await mkdir(target)
    const args = ['pack', `${pinned.package}@${pinned.version}`, '--loglevel', 'error', '--ignore-scripts']
    args.push('--pack-destination', target, '--cache', join(folder, 'npm'))
    await runCommand('npm', args, { cwd: folder, env: context.env, signal })
    return await findOnly(target, '.tgz')
  })
}

/**
 * @param {Pinned} pinned
 * @param {DownloadContext} context
 * @param {(folder: string, signal: AbortSignal) => Promise<string>} fetchOnce
 */
async function download(pinned, { scratch, signal, progress }, fetchOnce) {
  const name = `${pinned.package} ${pinned.version}`
  for (let attempt = 1; ; attempt++) {
    const folder = join(scratch, `try-${attempt}`)
    await mkdir(folder, { recursive: true })
    const measureBytes = () => measureFolder(folder)
    const step = progress.start(name, { totalBytes: pinned.bytes, measureBytes })
    const watch = watchStall(measureBytes, signal)
    try {
      const file = await fetchOnce(folder, watch.signal)
      await verify(file, pinned, name)
      step.done()
      return file
    } catch (error) {
      step.fail()
      signal?.throwIfAborted()
      if (isDiskFull(error) || attempt === tries) throw explainDownload(name, watch.signal.aborted, error)
      progress.note(`  ${name}: the download broke, trying once more`)
      await rm(folder, { recursive: true, force: true })
    } finally {
      watch.stop()
    }
  }
}

/** @param {unknown} error */
const isDiskFull = (error) => error instanceof CommandError && /No space left|ENOSPC/i.test(error.output)

/**
 * A download that stands still for long is given up: pip and npm alone may wait for ever.
 * @param {() => Promise<number>} measureBytes
 * @param {AbortSignal | undefined} outer
 */
function watchStall(measureBytes, outer) {
  const stalled = new AbortController()
  let bytes = -1
  let movedAt = Date.now()
  const timer = setInterval(async () => {
    const now = await measureBytes().catch(() => bytes)
    if (now !== bytes) movedAt = Date.now()
    bytes = now
    if (Date.now() - movedAt > stallMs) stalled.abort(new Error('stalled'))
  }, measureMs)
  timer.unref()
  const signal = outer === undefined ? stalled.signal : AbortSignal.any([stalled.signal, outer])
  return { signal, stop: () => clearInterval(timer) }
}

/** @param {string} file @param {Pinned} pinned @param {string} name */
async function verify(file, pinned, name) {
  const found = await hashFile(file)
  if (pinned.sha256.includes(found)) return
  throw new CommandError(`${name}: SHA-256 is ${found}, wanted ${pinned.sha256.join(' or ')}`, '')
}

/** @param {string} folder @param {string} suffix */
async function findOnly(folder, suffix) {
  const names = (await readdir(folder)).filter((name) => name.endsWith(suffix))
  if (names.length !== 1) throw new CommandError(`expected one *${suffix}, found ${names.length}`, '')
  return join(folder, String(names[0]))
}

/** @param {string} name @param {boolean} stalled @param {unknown} error */
function explainDownload(name, stalled, error) {
  if (isDiskFull(error)) return error
  const output = error instanceof CommandError ? `${error.message}\n${error.output.trim()}` : String(error)
  const again = 'Run the same command again: what is complete is kept.'
  if (stalled)
    return new SetupError(`${name}: no byte arrived for ${stallMs / 1000} s. Check the network or the proxy. ${again}`)
  if (/DO NOT MATCH|SHA-256 is/i.test(output))
    return new SetupError(
      `${name}: the file is not the pinned one. Check what index, mirror or proxy is configured for pip and npm. ${again}\n${output}`,
    )
  if (/No matching distribution/i.test(output) && !/connection broken|timed out/i.test(output))
    return new SetupError(
      `${name}: there is no build of it for this platform or Python (wanted: Linux or macOS on x86-64 or arm64, Python 3.10 or newer) in the configured package index.\n${output}`,
    )
  return new SetupError(
    `${name}: the download failed ${tries} times. Check the network, the proxy and the configured package index. ${again}\n${output}`,
  )
}
