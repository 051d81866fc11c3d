import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { callerRoutes } from '../routes/routes.data.ts'
import { methodsByPath, rawPath } from './precheck.ts'

test('methodsByPath() holds every public route and no other', () => {
  const pairs = [...methodsByPath()].flatMap(([path, methods]) => [...methods].map((method) => `${method} ${path}`))
  deepEqual(pairs.toSorted(), callerRoutes.map(({ method, path }) => `${method} ${path}`).toSorted())
})

test('no path of an engine or of the home is public by accident', () => {
  deepEqual(
    [...methodsByPath().keys()].filter((path) => !/^\/(v1\/chat\/completions|v1\/models|health|ready)$/.test(path)),
    [],
  )
})

test('rawPath() is the target without its query', () => {
  deepEqual(['/v1/models?a=1?b', '/v1/models?', '/health', '', '?'].map(rawPath), [
    '/v1/models',
    '/v1/models',
    '/health',
    '',
    '',
  ])
})

test('rawPath() decodes, folds and joins nothing', () => {
  for (const target of ['/v1/%6dodels', '//v1/models', '/v1/../v1/models', '/V1/models', '/v1/models/', '/v1/models#x'])
    equal(rawPath(target), target)
})

test('a target is found in the table only when it is a public path, letter by letter', () => {
  const table = methodsByPath()
  const paths = [...table.keys()]
  const near = fc.constantFrom(...paths).chain((path) =>
    fc
      .tuple(fc.nat(path.length), fc.constantFrom('/', '.', '%', '%2f', ';', '\\', ' ', 'x', '//'))
      .map(([at, noise]) => {
        return path.slice(0, at) + noise + path.slice(at)
      }),
  )
  fc.assert(
    fc.property(near, fc.string(), (target, query) => {
      equal(table.has(rawPath(`${target}?${query}`)), paths.includes(target))
    }),
  )
})

test('any query leaves the route as it is', () => {
  fc.assert(
    fc.property(fc.constantFrom(...methodsByPath().keys()), fc.string(), (path, query) => {
      equal(rawPath(`${path}?${query}`), path)
    }),
  )
})
