const redrawMs = 200
const plainLineMs = 5_000

/**
 * @typedef {object} Step
 * @property {(note?: string) => void} done
 * @property {() => void} fail
 *
 * @typedef {object} StepOptions
 * @property {number} [totalBytes] what is expected, for downloads
 * @property {() => Promise<number>} [measureBytes] how much is there now
 *
 * @typedef {object} Progress
 * @property {(name: string, options?: StepOptions) => Step} start
 * @property {(text: string) => void} note a line of its own
 * @property {() => void} close stops drawing; steps that are still open vanish
 *
 * @typedef {{write(text: string): unknown, isTTY?: boolean, columns?: number}} Output
 */

/**
 * Shows steps that may run side by side: on a terminal one line that is redrawn, else a plain line a few seconds
 * apart; a finished step always leaves one line.
 * @param {{output?: Output, now?: () => number, plainMs?: number}} [options]
 * @returns {Progress}
 */
export function createProgress({ output = process.stderr, now = Date.now, plainMs = plainLineMs } = {}) {
  /** @type {Set<OpenStep>} */
  const open = new Set()
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  const clear = () => output.isTTY && output.write('\r\x1b[2K')
  const draw = async () => {
    for (const step of open)
      if (step.measureBytes) step.bytes = Math.max(step.bytes, await step.measureBytes().catch(() => 0))
    if (output.isTTY) {
      const line = [...open].map((step) => describeStep(step, now())).join(' · ')
      output.write(`\r\x1b[2K${line.slice(0, (output.columns ?? 80) - 1)}`)
      return
    }
    for (const step of open) {
      if (now() - step.printedAt < plainMs) continue
      step.printedAt = now()
      output.write(`  ${describeStep(step, now())}\n`)
    }
  }
  const close = () => {
    clearInterval(timer)
    timer = undefined
    if (open.size > 0) clear()
    open.clear()
  }
  const note = (/** @type {string} */ text) => {
    clear()
    output.write(`${text}\n`)
  }
  return {
    note,
    close,
    start(name, { totalBytes, measureBytes } = {}) {
      /** @type {OpenStep} */
      const step = { name, totalBytes, measureBytes, bytes: 0, startedAt: now(), printedAt: now() }
      open.add(step)
      timer ??= setInterval(() => void draw(), redrawMs)
      const end = (/** @type {string | undefined} */ line) => {
        if (!open.delete(step)) return
        if (line !== undefined) note(line)
        if (open.size === 0) close()
      }
      return { done: (text) => end(`✓ ${describeEnd(step, now(), text)}`), fail: () => end(`✗ ${step.name}`) }
    },
  }
}

/**
 * @typedef {object} OpenStep
 * @property {string} name
 * @property {number | undefined} totalBytes
 * @property {(() => Promise<number>) | undefined} measureBytes
 * @property {number} bytes
 * @property {number} startedAt
 * @property {number} printedAt
 */

/** @param {OpenStep} step @param {number} at */
function describeStep(step, at) {
  const seconds = (at - step.startedAt) / 1000
  if (!step.measureBytes) return `${step.name} ${seconds.toFixed(0)} s`
  const bytes = step.totalBytes === undefined ? step.bytes : Math.min(step.bytes, step.totalBytes)
  const of = step.totalBytes === undefined ? '' : ` / ${toMegabytes(step.totalBytes)}`
  return `${step.name} ${toMegabytes(bytes)}${of} MB ${formatRate(bytes, seconds)} ${seconds.toFixed(0)} s`
}

/** @param {OpenStep} step @param {number} at @param {string | undefined} text */
function describeEnd(step, at, text) {
  const seconds = (at - step.startedAt) / 1000
  const bytes = step.totalBytes ?? step.bytes
  const size = bytes > 0 ? `  ${toMegabytes(bytes)} MB  ${formatRate(bytes, seconds)}` : ''
  return `${step.name.padEnd(24)}${size}  ${seconds.toFixed(1)} s${text ? `  ${text}` : ''}`
}

/** @param {number} bytes */
const toMegabytes = (bytes) => (bytes / 1e6).toFixed(1)

/** @param {number} bytes @param {number} seconds */
const formatRate = (bytes, seconds) => `${(bytes / 1e6 / Math.max(seconds, 0.1)).toFixed(1)} MB/s`
