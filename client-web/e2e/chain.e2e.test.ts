import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startChain } from '../../gateway/dev/chain.ts'
import { readParts, requirePart } from '../../gateway/dev/parts.ts'
import { waitUntil } from '../../gateway/test/deadline.ts'
import { keepChainLogs } from '../../gateway/test/kept-logs.ts'
import { describeJourney } from './journey.ts'

const pictures = join(import.meta.dirname, '../../.hearth/artefacts/page')

describeJourney('the page before the whole real chain', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'hearth-page-chain-'))
  const model = { id: 'smollm2-135m-instruct', file: requirePart(readParts(), 'model'), context: 2048, slots: 4 }
  const engine = { from: 'embedded', model } as const
  const chain = await startChain({ road: 'mesh', engine, stateDir, port: 0, pagePort: 0, supervise: false })
  const isIdle = async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${chain.ports.engine}/metrics`)).text()
    return /^llamacpp:requests_processing 0$/m.test(metrics)
  }
  return {
    pageUrl: chain.pageUrl ?? '',
    key: chain.key,
    waitForAbort: async () => {
      await waitUntil(isIdle, 2_000, 'the slot of the engine is free after Stop')
    },
    onAnswered: async (page) => {
      mkdirSync(pictures, { recursive: true })
      await page.screenshot({ path: join(pictures, 'real-chain.png') })
    },
    close: async () => {
      await chain.stop()
      keepChainLogs(stateDir, [chain.key])
      rmSync(stateDir, { recursive: true, force: true })
    },
  }
})
