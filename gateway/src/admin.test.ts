import { deepEqual, equal, match } from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createAdmin } from './admin.ts'
import { Catalog } from './metrics/catalog.ts'
import { createCounter } from './metrics/counter.ts'

/** The listener on a port of its own, until the test ends. */
async function openAdmin(t: TestContext, fill: (catalog: Catalog) => void = () => {}): Promise<string> {
  const catalog = new Catalog()
  createCounter(catalog, 'a_total', 'Counted.', []).add({})
  fill(catalog)
  const admin = createAdmin(catalog)
  admin.listen(0, '127.0.0.1')
  await once(admin, 'listening')
  t.after(() => {
    admin.close()
    admin.closeAllConnections()
  })
  return `http://127.0.0.1:${(admin.address() as AddressInfo).port}`
}

test('the metrics come in the format that a scraper prefers, and are kept by nobody', async (t) => {
  const url = await openAdmin(t)
  const plain = await fetch(`${url}/metrics`)
  equal(plain.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  deepEqual([plain.headers.get('cache-control'), plain.headers.get('vary')], ['no-store', 'accept'])
  match(await plain.text(), /^# TYPE a_total counter\na_total 1\n$/m)
  const open = await fetch(`${url}/metrics?job=hearth`, {
    headers: { accept: 'application/openmetrics-text; version=1.0.0,text/plain;q=0.5' },
  })
  equal(open.headers.get('content-type'), 'application/openmetrics-text; version=1.0.0; charset=utf-8')
  match(await open.text(), /^# TYPE a counter\na_total 1\n# EOF\n$/m)
})

test('HEAD gets the head alone, other methods are named the two that there are, and other paths are none', async (t) => {
  const url = await openAdmin(t, (catalog) =>
    catalog.add({
      name: 'b',
      help: 'Not read.',
      type: 'gauge',
      read: () => {
        throw new Error('read for a HEAD')
      },
    }),
  )
  for (const path of ['/metrics', '/health']) {
    const head = await fetch(url + path, { method: 'HEAD' })
    deepEqual([head.status, await head.text()], [200, ''], path)
    const post = await fetch(url + path, { method: 'POST', body: 'x' })
    deepEqual([post.status, post.headers.get('allow')], [405, 'GET, HEAD'], path)
  }
  for (const path of ['/', '/metrics/', '/Metrics', '/metricsx', '/health/x'])
    equal((await fetch(url + path)).status, 404)
})

test('a metric that cannot be read is an answer, and no end of the process', async (t) => {
  let broken = true
  const url = await openAdmin(t, (catalog) =>
    catalog.add({
      name: 'b',
      help: 'Sometimes.',
      type: 'gauge',
      read: () => {
        if (broken) throw new Error('not now')
        return []
      },
    }),
  )
  equal((await fetch(`${url}/metrics`)).status, 500)
  broken = false
  equal((await fetch(`${url}/metrics`)).status, 200)
})
