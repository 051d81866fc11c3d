import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { pageTest, type Stage } from './harness.ts'
import { ask } from './journey.ts'
import { richAnswer } from './rich-answer.ts'
import type { ScriptedStream } from './scripted-gateway.ts'

pageTest('nothing on a 320 px phone is wider than the phone, and the page makes no policy violation', async (stage) => {
  const { page, shoot } = stage
  const problems: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text())
  })
  await page.setViewportSize({ width: 320, height: 640 })
  await answerRichly(stage)
  const widths = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.querySelector('.main')?.scrollWidth,
  ])
  assert.deepEqual(widths, [320, 320])
  assert.deepEqual(problems, [])
  await shoot('phone-320')
})

pageTest('the set of screenshots is kept', async (stage) => {
  const { page, shoot, phase } = stage
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme })
    await page.setViewportSize({ width: 1120, height: 860 })
    await page.reload()
    await page.locator('.example').first().waitFor()
    await shoot(`welcome-${scheme}`)
    const stream = await answerRichly(stage, 'writing')
    await shoot(`streaming-${scheme}`)
    stream.finish()
    await phase('complete')
    await page.locator('.main').evaluate((node) => node.scrollTo(0, 0))
    await shoot(scheme)
  }
  await page.setViewportSize({ width: 390, height: 844 })
  await page.locator('.main').evaluate((node) => node.scrollTo(0, node.scrollHeight))
  await shoot('phone-dark')
  await page.emulateMedia({ colorScheme: 'light' })
  await page.locator('.main').evaluate((node) => node.scrollTo(0, 0))
  await shoot('phone')
  await page.evaluate(() => sessionStorage.clear())
  await page.reload()
  await page.getByLabel('API key').waitFor()
  await shoot('phone-first-visit')
  await page.setViewportSize({ width: 1120, height: 860 })
  await shoot('first-visit')
})

async function answerRichly(
  { page, target, phase }: Stage,
  until: 'writing' | 'complete' = 'complete',
): Promise<ScriptedStream> {
  await ask(page, 'How do I read the temperature of the GPU, and what is normal?')
  const stream = await target.gateway.nextStream()
  // The pace of an engine, so that the figures on the screenshots are those of one.
  for (const part of richAnswer.match(/[\s\S]{1,24}/g) ?? []) {
    stream.write(part)
    await pause(20)
  }
  await page.locator('.prose').getByText('quiet fan curve').waitFor()
  if (until === 'complete') stream.finish()
  await phase(until)
  return stream
}
