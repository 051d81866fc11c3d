import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { callerRoutes } from '../routes/routes.data.ts'
import { rawPath } from './precheck.ts'

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

test('any query leaves the route as it is', () => {
  fc.assert(
    fc.property(fc.constantFrom(...callerRoutes.map(({ path }) => path)), fc.string(), (path, query) => {
      equal(rawPath(`${path}?${query}`), path)
    }),
  )
})
