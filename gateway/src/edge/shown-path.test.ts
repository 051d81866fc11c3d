import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { callerRoutes } from '../routes/routes.data.ts'
import { shownPath } from './shown-path.ts'

test('a path that leads nowhere is shown by the words of ours in it, without its query', () => {
  for (const { path } of callerRoutes) if (!path.includes('{')) equal(shownPath(`${path}?key=secret`), path)
  equal(shownPath('/v1/v1/chat/completions'), '/v1/v1/chat/completions')
  equal(shownPath('/v1/models/{id}'), '/v1/models/*')
  equal(shownPath('/secret/v1//chat%2Fcompletions'), '/*/v1//*')
  equal(shownPath('*'), '*')
  equal(shownPath('http://user:secret@host/v1/models'), '*')
  equal(shownPath('secret'), '*')
})

test('the shape of a path has at most eight parts, however long the path is', () => {
  equal(shownPath('/v1'.repeat(8)), '/v1'.repeat(8))
  equal(shownPath('/v1'.repeat(9)), `${'/v1'.repeat(8)}/…`)
  equal(shownPath(`/${'x'.repeat(1e6)}${'/y'.repeat(1e5)}`), `${'/*'.repeat(8)}/…`)
})
