import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { assertNothingLeft, type Gateway, startGateway } from '../../gateway/test/harness.ts'
import { launchBrowser } from './browser.ts'

const shotsDirectory = join(import.meta.dirname, '../../.hearth/artefacts/page')
// Nothing listens there: the page asks no engine.
const config = {
  engines: [{ name: 'gpu', url: 'http://127.0.0.1:9', kind: 'vllm' }],
  models: [{ id: 'm', engine: 'gpu' }],
}

describe('the gateway’s description for people', () => {
  let gateway: Gateway
  let browser: Browser | undefined
  let reason = ''
  before(async () => {
    mkdirSync(shotsDirectory, { recursive: true })
    gateway = await startGateway({ config, env: { HEARTH_HOST: '127.0.0.1' } })
    const launched = await launchBrowser()
    if ('reason' in launched) reason = launched.reason
    else browser = launched
  })
  after(async () => {
    await browser?.close()
    await assertNothingLeft(gateway)
  })

  const docsTest = (name: string, body: (page: Page, problems: readonly string[]) => Promise<void>) =>
    it(name, async (t) => {
      if (browser === undefined) return t.skip(reason)
      const page = await browser.newPage()
      const problems: string[] = []
      page.on('console', (message) => problems.push(message.text()))
      page.on('request', (request) => {
        if (!request.url().endsWith('/docs')) problems.push(`asked for ${request.url()}`)
      })
      await page.goto(`${gateway.url}/docs`)
      await body(page, problems)
      await page.close()
    })

  docsTest('fits a phone of 320 px, loads nothing else and breaks no rule of its policy', async (page, problems) => {
    for (const width of [320, 390, 1120]) {
      await page.setViewportSize({ width, height: 844 })
      for (const details of await page.locator('details').all())
        await details.evaluate((node) => node.setAttribute('open', ''))
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width)
    }
    assert.deepEqual(problems, [])
    assert.equal(await page.locator('section.operation').count(), 10)
  })

  docsTest('leads from a route to its codes and from there to their meaning', async (page) => {
    await page.getByRole('link', { name: '/v1/rerank' }).click()
    assert.match(page.url(), /#rerank$/)
    await page.locator('#rerank ~ dl').getByRole('link', { name: 'wrong_task' }).click()
    assert.ok(await page.locator('#code-wrong_task').isVisible())
  })

  docsTest('can be read in light and in dark', async (page) => {
    for (const scheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: scheme })
      const [ink, paper] = await page.evaluate(() => {
        const { color, backgroundColor } = getComputedStyle(document.body)
        return [color, backgroundColor]
      })
      assert.notEqual(ink, paper)
      await page.setViewportSize({ width: 1120, height: 860 })
      await page.screenshot({ path: join(shotsDirectory, `docs-${scheme}.png`) })
      await page.locator('#chat').evaluate((node) => node.scrollIntoView())
      await page.screenshot({ path: join(shotsDirectory, `docs-route-${scheme}.png`) })
      await page.setViewportSize({ width: 390, height: 844 })
      await page.locator('#chat').evaluate((node) => node.scrollIntoView())
      await page.screenshot({ path: join(shotsDirectory, `docs-phone-${scheme}.png`) })
      await page.evaluate(() => scrollTo(0, 0))
    }
  })
})
