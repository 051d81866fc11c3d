import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { launchBrowser } from './browser.ts'
import type { StartTarget, Target } from './target.ts'

/** What holds for the page in front of any gateway that answers by itself: scripted, lab or real. */
export function describeJourney(name: string, startTarget: StartTarget): void {
  describe(name, () => {
    let browser: Browser | undefined
    let target: Target | undefined
    let reason = ''
    before(async () => {
      const launched = await launchBrowser()
      if ('reason' in launched) {
        reason = launched.reason
        return
      }
      browser = launched
      target = await startTarget()
    })
    after(async () => {
      await browser?.close()
      await target?.close()
    })

    it('a person types key and question, and the answer grows while it is written', async (t) => {
      if (browser === undefined || target === undefined) return t.skip(reason)
      const page = await openPage(browser, target)
      await watchAnswer(page)
      await ask(page, 'Name three uses of a fireplace.')
      await page.locator('.answer[data-phase=complete]').waitFor()
      const lengths = await seenLengths(page)
      assert.ok(lengths.length >= 3, `the answer was seen at these lengths: ${lengths.join(', ')}`)
      assert.match(await page.locator('.stats').innerText(), /tok\/s[\s\S]*tokens[\s\S]*first token/)
      await target.onAnswered?.(page)
      await page.context().close()
    })

    it('Stop ends the answer, keeps its text, and the other side notices', async (t) => {
      if (browser === undefined || target === undefined) return t.skip(reason)
      const page = await openPage(browser, target)
      await ask(page, 'Tell a long story about a fireplace.')
      await page.locator('.answer .prose', { hasText: /\S/ }).waitFor()
      await page.getByRole('button', { name: 'Stop' }).click()
      await page.locator('.answer[data-phase=stopped]').waitFor()
      assert.notEqual((await page.locator('.answer .prose').innerText()).trim(), '')
      assert.equal(await page.locator('.badge').innerText(), 'Stopped')
      await target.waitForAbort?.()
      await page.context().close()
    })
  })
}

/** A fresh visitor who has typed the key and sees the page connected. */
export async function openPage(browser: Browser, target: Target, options: object = {}): Promise<Page> {
  const context = await browser.newContext({ locale: 'en-US', ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(10_000)
  await page.goto(target.pageUrl)
  await page.getByLabel('API key').fill(target.key)
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await page.locator('.pill .dot[data-tone=good]').waitFor()
  return page
}

export async function ask(page: Page, question: string): Promise<void> {
  await page.getByLabel('Your question', { exact: true }).fill(question)
  await page.keyboard.press('Enter')
}

async function watchAnswer(page: Page): Promise<void> {
  await page.evaluate(() => {
    const lengths = new Set<number>()
    Object.assign(window, { seenLengths: lengths })
    new MutationObserver(() => {
      const length = document.querySelector('.answer .prose')?.textContent?.length ?? 0
      if (length > 0) lengths.add(length)
    }).observe(document.body, { subtree: true, childList: true, characterData: true })
  })
}

async function seenLengths(page: Page): Promise<readonly number[]> {
  return page.evaluate(() => [...(window as unknown as { seenLengths: Set<number> }).seenLengths])
}
