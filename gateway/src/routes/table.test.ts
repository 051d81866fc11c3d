import { deepEqual, equal, notEqual } from 'node:assert/strict'
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

test('any other spelling of a model is that of no model, and takes the route that hides which models there are', () => {
  const table = createRouteTable(names)
  for (const spelling of ['a%2fb', 'a%252Fb', '%61/b', 'a//b', 'a/./b', 'a/b/', '/a/b', 'A/b', 'nope', '..', 'a%5Cb']) {
    const found = table.find(`/v1/models/${spelling}`)
    equal(found?.modelName, undefined, spelling)
    equal(found?.path, '/v1/models/{id}', spelling)
  }
  equal(table.find('/v1/models/'), undefined)
  equal(table.find('/v1/models/{id}')?.modelName, undefined)
})

test('a path that is changed by one letter leads to no route, or to no model', () => {
  const table = createRouteTable(names)
  const paths = [...exact, ...spellings]
  const near = fc.constantFrom(...paths).chain((path) =>
    fc
      .tuple(fc.nat(path.length), fc.constantFrom('/', '.', '%', '%2f', ';', '\\', ' ', 'x', '//'))
      .map(([at, noise]) => ({
        path,
        changed: path.slice(0, at) + noise + path.slice(at),
      })),
  )
  fc.assert(
    fc.property(near, ({ path, changed }) => {
      const found = table.find(changed)
      if (!changed.startsWith('/v1/models/')) equal(found !== undefined, paths.includes(changed))
      else equal(found?.modelName, undefined)
      notEqual(changed, path)
    }),
  )
})
