import assert from 'node:assert/strict'
import { withDeadline } from '../../gateway/test/deadline.ts'
import { pageTest } from './harness.ts'
import { ask } from './journey.ts'

pageTest('the pending note is there within 100 ms of Enter', async ({ page }) => {
  await page.getByLabel('Your question', { exact: true }).fill('Hello')
  const elapsedMs = await page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const box = document.getElementById('question')
        const startedMs = performance.now()
        new MutationObserver((_, observer) => {
          if (document.querySelector('.pending') === null) return
          observer.disconnect()
          requestAnimationFrame(() => resolve(performance.now() - startedMs))
        }).observe(document.body, { subtree: true, childList: true })
        box?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }))
      }),
  )
  assert.ok(elapsedMs < 100, `it took ${elapsedMs} ms`)
})

pageTest(
  'place in line and stages of waking are shown as the gateway tells them',
  async ({ page, target, shoot, phase }) => {
    await ask(page, 'What do you see at night?')
    const stream = await target.gateway.nextStream()
    stream.comment('queue position=3 eta=12')
    await page.getByText('In line · 3rd · about 12s', { exact: true }).first().waitFor()
    await shoot('queued')
    stream.comment('wake stage=boot t=34')
    await page.locator('.stage[data-state=now]', { hasText: 'Boot' }).waitFor()
    await shoot('waking')
    stream.write('Stars.')
    await phase('writing')
    assert.equal(await page.locator('.pending').count(), 0)
    stream.finish()
    await phase('complete')
    assert.equal(await page.getByRole('status').innerText(), 'Answer complete, 1 word')
  },
)

pageTest('a finished block keeps its nodes while the tail grows', async ({ page, target, phase }) => {
  await ask(page, 'Write four paragraphs.')
  const stream = await target.gateway.nextStream()
  stream.write('One **first**.\n\nTwo.\n\nThree.\n\n')
  await page.getByText('Three.').waitFor()
  await page.evaluate(() => Object.assign(window, { firstNode: document.querySelector('.prose strong') }))
  stream.write('Four *last*.')
  await page.locator('.prose em').waitFor()
  stream.finish()
  await phase('complete')
  const isSame = await page.evaluate(
    () => document.querySelector('.prose strong') === (window as unknown as { firstNode: unknown }).firstNode,
  )
  assert.equal(isSame, true)
})

pageTest(
  'Escape stops, the gateway sees the client leave, and the text stays',
  async ({ page, target, shoot, phase, lastProse }) => {
    await ask(page, 'Count to a million.')
    const stream = await target.gateway.nextStream()
    stream.write('One, two, three, ')
    await lastProse().waitFor()
    await page.keyboard.press('Escape')
    await withDeadline(stream.left, 1000, 'the abort at the gateway')
    await phase('stopped')
    assert.equal(await lastProse().innerText(), 'One, two, three,')
    assert.match(await page.locator('.stats').innerText(), /≈ 1 token/)
    await shoot('stopped')
  },
)

pageTest('a conversation carries what was said, and a new chat forgets it', async ({ page, target, phase }) => {
  await ask(page, 'My name is Ada.')
  const first = await target.gateway.nextStream()
  first.write('Hello Ada.')
  first.finish()
  await phase('complete')
  await ask(page, 'What is my name?')
  const second = await target.gateway.nextStream()
  assert.deepEqual(second.body.messages, [
    { role: 'user', content: 'My name is Ada.' },
    { role: 'assistant', content: 'Hello Ada.' },
    { role: 'user', content: 'What is my name?' },
  ])
  second.write('Eve.')
  second.finish()
  await page.getByRole('button', { name: 'Ask again' }).click()
  const again = await target.gateway.nextStream()
  assert.deepEqual(again.body.messages, second.body.messages)
  again.write('Ada.')
  again.finish()
  await page.getByText('Ada.', { exact: true }).waitFor()
  assert.equal(await page.locator('.answer').count(), 2)
  await page.getByRole('button', { name: 'New chat' }).click()
  await ask(page, 'Who am I?')
  assert.equal((await target.gateway.nextStream()).body.messages.length, 1)
})

pageTest('the chosen model is the one that is asked', async ({ page, target }) => {
  await page.getByLabel('Model', { exact: true }).selectOption('qwen2.5-vl-7b')
  await ask(page, 'Hello')
  assert.equal((await target.gateway.nextStream()).body.model, 'qwen2.5-vl-7b')
})

pageTest('an Enter that ends an IME composition does not send', async ({ page, target }) => {
  const session = await page.context().newCDPSession(page)
  await page.getByLabel('Your question', { exact: true }).focus()
  await session.send('Input.imeSetComposition', { text: '안녕', selectionStart: 2, selectionEnd: 2 })
  const enter = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 229 }
  await session.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', ...enter })
  await session.send('Input.insertText', { text: '안녕' })
  assert.equal(await page.locator('.answer').count(), 0)
  assert.equal(await page.getByLabel('Your question', { exact: true }).inputValue(), '안녕')
  await page.keyboard.press('Enter')
  assert.deepEqual((await target.gateway.nextStream()).body.messages, [{ role: 'user', content: '안녕' }])
})

pageTest('Shift+Enter makes a new line', async ({ page }) => {
  await page.getByLabel('Your question', { exact: true }).fill('one')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.type('two')
  assert.equal(await page.getByLabel('Your question', { exact: true }).inputValue(), 'one\ntwo')
  assert.equal(await page.locator('.answer').count(), 0)
})

pageTest('the key is forgotten with the tab unless it is to be remembered', async ({ page, target, shoot }) => {
  const stored = () => page.evaluate(() => [sessionStorage.getItem('hearth.key'), localStorage.getItem('hearth.key')])
  assert.deepEqual(await stored(), [target.key, null])
  await page.locator('.pill').click()
  await page.getByLabel('Remember the key on this device').check()
  assert.deepEqual(await stored(), [null, target.key])
  assert.equal(await page.getByLabel('API key').getAttribute('type'), 'password')
  await shoot('connection')
})
