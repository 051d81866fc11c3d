import type { Config } from '../config.ts'
import { describe } from '../errors.ts'
import { createLog, joinLines, type Log, type Render } from '../log.ts'
import { jsonRender, renderPretty } from './render.ts'

export interface StdoutLog {
  readonly log: Log
  /** Goes over to the form that is loaded late, where that is the one wanted; asked once, when the process listens. */
  readonly settle: () => Promise<void>
}

/** The log of this process. What comes before `settle` has the shape of what comes after it, but for the ids of records. */
export function openLog({ log: form, googleProject }: Pick<Config, 'log' | 'googleProject'>): StdoutLog {
  const lines = joinLines((text) => process.stdout.write(text))
  process.on('exit', lines.flush)
  let render: Render = form === 'pretty' ? renderPretty : jsonRender(googleProject)
  const log = createLog(
    (record) => render(record),
    lines.write,
    () => new Date(),
  )
  const settle = async () => {
    if (form !== 'gcp') return
    try {
      render = (await import('./google-cloud.ts')).entryRender(googleProject)
    } catch (error) {
      const fix = 'npm install @google-cloud/logging, or HEARTH_LOG=json'
      log('WARNING', 'the log goes on as json', { problem: describe(error), fix })
    }
  }
  return { log, settle }
}
