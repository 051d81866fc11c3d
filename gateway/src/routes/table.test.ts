import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { callerRoutes } from './routes.data.ts'
import { createRouteTable } from './table.ts'

const names = ['qwen2.5-vl-7b', 'Qwen/Qwen2.5-VL:7b', 'a/b']
const exact = callerRoutes.map(({ path }) => path).filter((path) => !path.includes('{'))
const spellings = [
  ...['qwen2.5-vl-7b', 'Qwen/Qwen2.5-VL:7b', 'Qwen%2FQwen2.5-VL%3A7b', 'Qwen%2FQwen2.5-VL:7b', 'a/b', 'a%2Fb'],
].map((spelling) => `/v1/models/${spelling}`)

test('each route is found by its exact path, with all its methods and no other', () => {
  const table = createRouteTable([])
  for (const { path, method } of callerRoutes) {
    if (path.includes('{')) continue
    deepEqual(table.find(path), { path, methods: new Set([method]) })
  }
})

test('no path of an engine or of the home is public by accident', () => {
  deepEqual(
    exact.filter(
      (path) =>
        !/^\/(v1\/(chat\/completions|completions|embeddings|rerank|models)|health|ready|openapi\.json|docs)$/.test(
          path,
        ),
    ),
    [],
  )
})

test('a model is found by its name as it is, as encodeURIComponent writes it and as the OpenAI SDKs do', () => {
  const table = createRouteTable(names)
  deepEqual(
    spellings.map((path) => table.find(path)?.modelName),
    ['qwen2.5-vl-7b', 'Qwen/Qwen2.5-VL:7b', 'Qwen/Qwen2.5-VL:7b', 'Qwen/Qwen2.5-VL:7b', 'a/b', 'a/b'],
  )
})

test('what could be a model and is none takes the route that hides which models there are', () => {
  const table = createRouteTable(names)
  for (const name of ['nope', 'A/b', 'a/b/', 'a//b', 'a/./b', 'a%2Fb%2Fc', 'x'.repeat(128)]) {
    const found = table.find(`/v1/models/${name}`)
    deepEqual([found?.path, found?.modelName], ['/v1/models/{id}', undefined], name)
  }
})

test('what can be no model, however the gateway is configured, is no route', () => {
  const table = createRouteTable(names)
  const spellings = [
    '',
    '..',
    '.%2e',
    '/a/b',
    'a%2fb',
    'a%252Fb',
    '%61/b',
    'a%5Cb',
    'a;b',
    'a%00',
    '{id}',
    'x'.repeat(129),
  ]
  for (const spelling of spellings) equal(table.find(`/v1/models/${spelling}`), undefined, spelling)
})

test('whether a name is configured decides nothing but which model it leads to', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/)
  fc.assert(
    fc.property(name, (id) => {
      for (const spelling of [id, encodeURIComponent(id)]) {
        const path = `/v1/models/${spelling}`
        const { modelName, ...with_ } = createRouteTable([id]).find(path) ?? {}
        equal(modelName, id)
        deepEqual(with_, createRouteTable([]).find(path))
      }
    }),
  )
})

test('a path that is changed by one letter leads to no route, or to no model', () => {
  const table = createRouteTable(names)
  const paths = [...exact, ...spellings]
  const near = fc
    .constantFrom(...paths)
    .chain((path) =>
      fc
        .tuple(fc.nat(path.length), fc.constantFrom('/', '.', '%', '%2f', ';', '\\', ' ', 'x', '//'))
        .map(([at, noise]) => path.slice(0, at) + noise + path.slice(at)),
    )
  fc.assert(
    fc.property(near, (changed) => {
      const found = table.find(changed)
      equal(found?.modelName, undefined)
      if (!changed.startsWith('/v1/models/')) equal(found, undefined)
    }),
  )
})
