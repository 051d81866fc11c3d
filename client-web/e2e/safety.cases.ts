import assert from 'node:assert/strict'
import { pageTest } from './harness.ts'
import { hostileAnswers } from './hostile.ts'
import { ask } from './journey.ts'

pageTest('hostile answers run no script and call nobody', async ({ page, target, phase }) => {
  const foreign: string[] = []
  const scripts: string[] = []
  const own = [new URL(target.pageUrl).origin, target.gateway.origin]
  page.on('request', (request) => {
    if (!own.includes(new URL(request.url()).origin)) foreign.push(request.url())
  })
  page.on('dialog', (dialog) => {
    scripts.push(dialog.message())
    void dialog.dismiss()
  })
  for (const answer of hostileAnswers) {
    await ask(page, 'Be evil.')
    const stream = await target.gateway.nextStream()
    for (const part of answer.match(/[\s\S]{1,7}/g) ?? []) stream.write(part)
    stream.finish()
    await phase('complete')
  }
  // All answers are still on the page, and as text they are whole: a page that shows nothing would pass the rest.
  assert.equal(await page.locator('.prose').count(), hostileAnswers.length)
  assert.equal(await page.locator('.prose').first().innerText(), hostileAnswers[0])
  assert.ok((await page.locator('.prose a').count()) >= 5)
  const seen = await page.evaluate(() => ({
    hits: (window as unknown as { hits?: number }).hits ?? 0,
    forbidden: document.querySelectorAll(
      '.prose :is(script, img, iframe, object, svg, style, form, input, math, base, link)',
    ).length,
    handlers: [...document.querySelectorAll('.prose *')].filter((node) =>
      node.getAttributeNames().some((name) => name.startsWith('on') || name === 'style' || name === 'src'),
    ).length,
    links: [...document.querySelectorAll<HTMLAnchorElement>('.prose a')].filter(
      (link) => !/^(https?|mailto):/.test(link.href) || link.rel !== 'noopener noreferrer',
    ).length,
  }))
  assert.deepEqual(
    { ...seen, foreign, scripts },
    { hits: 0, forbidden: 0, handlers: 0, links: 0, foreign: [], scripts: [] },
  )
})
