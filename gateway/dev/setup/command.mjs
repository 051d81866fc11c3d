import { spawn } from 'node:child_process'

const tailBytesMax = 4000

/** A command that did not end well. `output` is the end of what it wrote. */
export class CommandError extends Error {
  /**
   * @param {string} message
   * @param {string} output
   * @param {{notFound?: boolean}} [options]
   */
  constructor(message, output, { notFound = false } = {}) {
    super(message)
    this.name = 'CommandError'
    this.output = output
    this.notFound = notFound
  }
}

/**
 * @typedef {object} CommandOptions
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {AbortSignal | undefined} [signal] ends the command with SIGTERM
 * @property {number} [timeoutMs]
 */

/**
 * Runs a command to its end without a shell and returns what it wrote on stdout.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {CommandOptions} [options]
 * @returns {Promise<string>}
 * @throws {CommandError} when it is not found, exits with another status than 0, or runs over its time
 */
export function runCommand(command, args, { cwd, env, signal, timeoutMs = 30 * 60_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, signal, stdio: ['ignore', 'pipe', 'pipe'] })
    // Not spawn's own `timeout`: where the command is not found, its timer would keep this program alive.
    const timer = setTimeout(() => child.kill(), timeoutMs)
    let stdout = ''
    let tail = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
      tail = (tail + text).slice(-tailBytesMax)
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      tail = (tail + text).slice(-tailBytesMax)
    })
    child.on('error', (error) => {
      clearTimeout(timer)
      const notFound = /** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT'
      reject(signal?.aborted ? error : new CommandError(`${command}: ${error.message}`, tail, { notFound }))
    })
    child.on('close', (code, signalName) => {
      clearTimeout(timer)
      if (code === 0) return resolve(stdout)
      const ended = signalName === null ? `ended with status ${code}` : `was ended by ${signalName}`
      reject(new CommandError(`${[command, ...args].join(' ')} ${ended}`, tail))
    })
  })
}
