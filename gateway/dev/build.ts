import { chmodSync, rmSync } from 'node:fs'
import { type LogLevel, type RolldownLog, rolldown } from 'rolldown'
import { build as buildPage } from 'vite'

/** What the image carries: the gateway and its command line, each one file that needs only Node. */
const entries = { main: 'gateway/src/main.ts', cli: 'gateway/src/cli/main.ts' } as const
const outFolder = 'gateway/dist'

/** A bundle that is one file would ask for a package that is missing here at its start, also for one loaded when wanted. */
function refuseUnresolved(level: LogLevel, log: RolldownLog, next: (level: LogLevel, log: RolldownLog) => void): void {
  if (log.code === 'UNRESOLVED_IMPORT') throw new Error(`${log.message}; run npm install with its optional packages`)
  next(level, log)
}

async function buildGateway(): Promise<void> {
  rmSync(outFolder, { recursive: true, force: true })
  for (const [name, input] of Object.entries(entries)) {
    const bundle = await rolldown({ input, platform: 'node', logLevel: 'warn', onLog: refuseUnresolved })
    const file = `${outFolder}/${name}.mjs`
    await bundle.write({ file, format: 'esm', sourcemap: false, minify: false, codeSplitting: false })
    await bundle.close()
    chmodSync(file, 0o755)
  }
}

await buildGateway()
await buildPage({ root: 'client-web', logLevel: 'warn' })
