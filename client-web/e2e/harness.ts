import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import type { Browser, Locator, Page } from 'playwright-core'
import { launchBrowser } from './browser.ts'
import { openPage } from './journey.ts'
import { buildPage, type ScriptedTarget, startScriptedTarget } from './target.ts'

/** What a test on the page works with. */
export interface Stage {
  readonly page: Page
  readonly target: ScriptedTarget
  /** Keeps a screenshot among the artefacts. */
  shoot(name: string): Promise<void>
  /** Waits until the newest answer is in this phase. */
  phase(name: string): Promise<void>
  lastProse(): Locator
}

const shotsDirectory = join(import.meta.dirname, '../../.hearth/artefacts/page')
let browser: Browser | undefined
let reason = ''
let building: Promise<string> | undefined

/** The folder of the page, built once for all tests of this process. */
export function builtPage(): Promise<string> {
  building ??= buildPage()
  return building
}

before(async () => {
  mkdirSync(shotsDirectory, { recursive: true })
  const launched = await launchBrowser()
  if ('reason' in launched) reason = launched.reason
  else browser = launched
})
after(() => browser?.close())

/** One test on a fresh, connected page before a fresh scripted gateway; skipped with the reason where there is no browser. */
export function pageTest(name: string, body: (stage: Stage) => Promise<void>): void {
  it(name, async (t) => {
    if (browser === undefined) return t.skip(reason)
    const target = await startScriptedTarget(await builtPage())
    try {
      const page = await openPage(browser, target)
      const errors: string[] = []
      page.on('pageerror', (error) => errors.push(String(error)))
      await body(createStage(page, target)).catch((cause: unknown) => {
        throw errors.length === 0 ? cause : new Error(`The page threw: ${errors.join('; ')}`, { cause })
      })
      assert.deepEqual(errors, [], 'the page threw')
      await page.context().close()
    } finally {
      await target.close()
    }
  })
}

function createStage(page: Page, target: ScriptedTarget): Stage {
  return {
    page,
    target,
    shoot: async (name) => {
      await page.screenshot({ path: join(shotsDirectory, `${name}.png`), animations: 'disabled' })
    },
    phase: (name) => page.locator(`.answer:last-child[data-phase=${name}]`).waitFor(),
    lastProse: () => page.locator('.answer .prose').last(),
  }
}
