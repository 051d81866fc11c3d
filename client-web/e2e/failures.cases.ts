import assert from 'node:assert/strict'
import { pageTest } from './harness.ts'
import { ask } from './journey.ts'
import type { Refusal } from './scripted-gateway.ts'

pageTest(
  'a key that the gateway does not know opens the connection panel, and nothing typed is lost',
  async ({ page, target, shoot }) => {
    await page.evaluate(() => sessionStorage.setItem('hearth.key', 'hk_wrong'))
    await page.reload()
    await page.locator('.pill .dot[data-tone=bad]').waitFor()
    await ask(page, 'Is this lost?')
    const panel = page.getByRole('dialog', { name: 'Connection' })
    await panel.getByText('The gateway does not know this key').first().waitFor()
    assert.equal(await panel.getByLabel('API key').evaluate((node) => node === document.activeElement), true)
    await shoot('error-key')
    await panel.getByLabel('API key').fill(target.key)
    await panel.getByRole('button', { name: 'Connect', exact: true }).click()
    await panel.waitFor({ state: 'hidden' })
    await page.getByRole('button', { name: 'Try again' }).click()
    const stream = await target.gateway.nextStream()
    assert.deepEqual(stream.body.messages, [{ role: 'user', content: 'Is this lost?' }])
  },
)

const refusals: readonly [name: string, refusal: Refusal, title: string][] = [
  [
    '404 of a model',
    { status: 404, code: 'model_not_found', message: 'No model "x".' },
    'The gateway has no such model',
  ],
  [
    'a picture for a model without eyes',
    { status: 400, code: 'model_has_no_vision', message: 'smollm2 reads no pictures.' },
    'This model cannot see pictures',
  ],
  [
    '502',
    { status: 502, code: 'engine_reset', message: 'The engine hung up.' },
    'Something broke on the way to the GPU',
  ],
  ['504', { status: 504, code: 'deadline_exceeded', message: 'Too slow.' }, 'The answer took too long'],
]
for (const [name, refusal, title] of refusals) {
  pageTest(`${name} is told in plain words, with the gateway's own`, async ({ page, target }) => {
    target.gateway.refusals.push(refusal)
    await ask(page, 'Hello')
    await page.locator('.failure-title', { hasText: title }).waitFor()
    assert.equal(await page.locator('.failure-message').innerText(), `“${refusal.message}”`)
    assert.match(await page.locator('.failure-facts').innerText(), new RegExp(`${refusal.code}.*req_7f3a2b`))
    assert.ok((await page.getByRole('alert').innerText()).startsWith(title))
  })
}

pageTest('503 with Retry-After counts down and asks again by itself', async ({ page, target, shoot, phase }) => {
  const refusal = { status: 503, code: 'mesh_peer_offline', message: 'The home machine is offline.' }
  target.gateway.refusals.push({ ...refusal, headers: { 'retry-after': '2' } })
  await ask(page, 'Are you there?')
  await page.getByText('Trying again in 2s').waitFor()
  await shoot('error-unavailable')
  const stream = await target.gateway.nextStream()
  stream.write('Yes.')
  stream.finish()
  await phase('complete')
  assert.equal(await page.locator('.failure').count(), 0)
})

pageTest('429 with Retry-After can be left alone', async ({ page, target }) => {
  const refusal = { status: 429, code: 'rate_limited', message: '60 requests a minute are used up.' }
  target.gateway.refusals.push({ ...refusal, headers: { 'retry-after': '30' } })
  await ask(page, 'Again')
  await page.getByRole('button', { name: 'Do not retry' }).click()
  assert.equal(await page.locator('.countdown').count(), 0)
  await page.getByText('Too many requests for this key', { exact: true }).waitFor()
})

pageTest(
  'an error event in the stream keeps the text, and a [DONE] after it does not heal it',
  async ({ page, target, shoot, phase, lastProse }) => {
    await ask(page, 'Tell me of the sea.')
    const stream = await target.gateway.nextStream()
    stream.write('The sea is wide, and it')
    stream.fail('engine_reset', 'The engine stopped in the middle of its answer.')
    await phase('cut')
    assert.equal(await lastProse().innerText(), 'The sea is wide, and it')
    await page.locator('.failure-title', { hasText: 'The answer was cut off by an error' }).waitFor()
    await shoot('error-stream')
  },
)

pageTest('a stream that ends without [DONE] is a cut, not an answer', async ({ page, target, phase, lastProse }) => {
  await ask(page, 'Tell me of the sea.')
  const stream = await target.gateway.nextStream()
  stream.write('The sea')
  await lastProse().waitFor()
  stream.cut()
  await phase('cut')
  await page.locator('.failure-title', { hasText: 'The answer was cut off' }).waitFor()
})

pageTest('a gateway that is gone is named as such', async ({ page, target, shoot }) => {
  await target.gateway.close()
  await ask(page, 'Hello?')
  await page.locator('.failure-title', { hasText: 'Can’t reach the gateway' }).waitFor()
  await shoot('error-unreachable')
})

pageTest(
  'a gateway that does not allow this page gets the CORS hint with the origin to add',
  async ({ page, target }) => {
    target.gateway.allowsPage = false
    await ask(page, 'Hello?')
    await page.locator('.failure-title', { hasText: 'The gateway answers, but not to this page' }).waitFor()
    assert.match(await page.locator('.failure-hint').innerText(), new RegExp(target.pageUrl))
  },
)

pageTest('an address outside the page’s own policy is refused with the setting to change', async ({ page }) => {
  await page.locator('.pill').click()
  await page.getByLabel('Base URL').fill('http://127.0.0.1:9/v1')
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  const panel = page.getByRole('dialog', { name: 'Connection' })
  await panel.getByText('This page may not call that address').waitFor()
  assert.match(await panel.locator('.failure-hint').innerText(), /API_BASE_URLS/)
})

pageTest('without a list of models a name can be typed', async ({ page, target }) => {
  target.gateway.models = []
  await page.reload()
  await page.getByPlaceholder('Name of a model').fill('my-own')
  await ask(page, 'Hello')
  assert.equal((await target.gateway.nextStream()).body.model, 'my-own')
})
