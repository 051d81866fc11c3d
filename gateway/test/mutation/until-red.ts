import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { resolve } from 'node:path'
import { afterEach } from 'node:test'
import { pathToFileURL } from 'node:url'

// An entry: `until-red.ts FILES…` runs test files in this one process and ends it with 1 at the first failure.

/** A mistake that few tries by chance do not show is left to the full run: many would only cost time here. */
const triesMax = 25
registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context)
    if (!url.endsWith('.test.ts') || !(loaded.source instanceof Uint8Array)) return loaded
    const fewer = Buffer.from(loaded.source)
      .toString()
      .replaceAll(/\bnumRuns: [\d_]+/g, `numRuns: ${triesMax}`)
    return { ...loaded, source: fewer }
  },
})
afterEach((context) => {
  if ('passed' in context && context.passed === false) process.exit(1)
})
for (const file of process.argv.slice(2)) {
  if (readFileSync(file, 'utf8').includes("from 'fast-check'"))
    (await import('fast-check')).default.configureGlobal({ numRuns: triesMax })
  await import(pathToFileURL(resolve(file)).href)
}
