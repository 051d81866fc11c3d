import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { commitArtifact, isArtifactIntact } from './artifact.mjs'
import { runCommand } from './command.mjs'
import { platform } from './part.mjs'
import { pythonCommand } from './prerequisites.mjs'
import { findPath } from './python.mjs'

/**
 * A Python of its own with exactly the listed packages; its output, under the part's name, is the interpreter.
 * Nothing is resolved: what the list does not hold is not installed.
 * @param {object} definition
 * @param {string} definition.name
 * @param {string} definition.title
 * @param {string} definition.version
 * @param {number} definition.megabytes
 * @param {string} definition.requirements in pip's form, each with its hashes
 * @param {readonly string[]} definition.imports modules that must load in the end
 * @returns {import('./part.mjs').Part}
 */
export function definePythonPackages({ name, title, version, megabytes, requirements, imports }) {
  const digest = createHash('sha256').update(requirements).digest('hex').slice(0, 8)
  const locate = (/** @type {import('./locations.mjs').Locations} */ at) =>
    join(at.cache, `${name}-${version}-${digest}-${platform}`)
  return {
    name,
    after: [],
    prerequisites: ['python'],
    needs: ({ at }) => [{ name: title, folder: at.cache, megabytes }],
    lockFile: ({ at }) => join(at.cache, 'locks', `${name}.lock`),
    async check({ at }) {
      const folder = locate(at)
      return (await isArtifactIntact(folder)) ? { [name]: join(folder, 'bin', 'python') } : undefined
    },
    async provide({ at, env, progress, signal }) {
      const step = progress.start(title)
      await commitArtifact(locate(at), join(at.cache, 'tmp'), async (fresh) => {
        const python = pythonCommand(env)
        await runCommand(python, ['-m', 'venv', '--without-pip', fresh], { env, signal })
        const site = await findPath(fresh, /lib\/python3\.\d+\/site-packages$/)
        const list = join(dirname(fresh), 'requirements.txt')
        await writeFile(list, requirements)
        const args = ['-m', 'pip', 'install', '--no-deps', '--only-binary', ':all:', '--require-hashes']
        args.push(
          '--no-cache-dir',
          '--disable-pip-version-check',
          '--quiet',
          '--no-compile',
          '--target',
          site,
          '-r',
          list,
        )
        await runCommand(python, args, { env, signal })
        await runCommand(join(fresh, 'bin', 'python'), ['-B', '-c', `import ${imports.join(', ')}`], { env, signal })
      }).catch((error) => {
        step.fail()
        throw error
      })
      step.done()
    },
  }
}
