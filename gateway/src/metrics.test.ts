import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { errorTable } from './errors.ts'
import { Catalog } from './metrics/catalog.ts'
import { MetricsText } from './metrics/render.ts'
import { createMeters } from './metrics.ts'

function openMeters() {
  const catalog = new Catalog()
  const text = new MetricsText(catalog)
  /** Lines of a metric without their common name. */
  const lines = async (name: string): Promise<readonly string[]> =>
    (await text.read('prometheus'))
      .split('\n')
      .filter((line) => line.startsWith(name))
      .map((line) => line.slice(name.length))
  return { meters: createMeters(catalog), lines }
}

const answer = { engine: 'gpu', model: 'talker', operation: 'chat', code: 'ok', ms: 3_000, firstTokenMs: 500 } as const
const rest = { bytesOut: 100, pictures: 0, usage: { promptTokens: 20, completionTokens: 11, estimated: false } }

test('a request is counted by its route, the class of its status and its code', async () => {
  const { meters, lines } = openMeters()
  meters.request({ route: '/health', status: 204, code: 'ok', ms: 20 })
  meters.request({ route: 'other', status: 404, code: 'unknown_route', ms: 1 })
  deepEqual(await lines('hearth_requests_total'), [
    '{route="/health",status="2xx",code="ok"} 1',
    '{route="other",status="4xx",code="unknown_route"} 1',
  ])
})

test('a code that the table of errors does not have is "other": no record makes a series of its own', async () => {
  const { meters, lines } = openMeters()
  for (let at = 0; at < 50; at += 1) meters.request({ route: '/health', status: 500, code: `made up ${at}`, ms: 1 })
  deepEqual(await lines('hearth_requests_total'), ['{route="/health",status="5xx",code="other"} 50'])
})

test('what was cut is counted by who ended it, a request that its signal ended with the request', async () => {
  const { meters, lines } = openMeters()
  meters.request({ route: '/health', status: 499, code: 'client_gone', ms: 1, aborted: 'client_gone' })
  meters.request({ route: '/health', status: 504, code: 'deadline_exceeded', ms: 1, aborted: 'deadline_exceeded' })
  meters.abort('engine_died')
  meters.abort('mesh_peer_lost')
  deepEqual(await lines('hearth_aborts_total'), [
    '{side="caller",reason="client_gone"} 1',
    '{side="gateway",reason="deadline_exceeded"} 1',
    '{side="engine",reason="engine_died"} 1',
    `{side="mesh",reason="${Object.hasOwn(errorTable, 'mesh_peer_lost') ? 'mesh_peer_lost' : 'other'}"} 1`,
  ])
})

test('tokens are counted by type, those of the engine apart from those that were estimated', async () => {
  const { meters, lines } = openMeters()
  meters.answer({ ...answer, ...rest })
  meters.answer({ ...answer, ...rest, usage: { promptTokens: undefined, completionTokens: 4, estimated: true } })
  meters.answer({ ...answer, ...rest, usage: undefined })
  deepEqual(await lines('hearth_tokens_total'), [
    '{engine="gpu",model="talker",type="input",source="engine"} 20',
    '{engine="gpu",model="talker",type="output",source="engine"} 11',
    '{engine="gpu",model="talker",type="output",source="estimated"} 4',
  ])
  deepEqual(await lines('hearth_answer_bytes_total'), ['{engine="gpu",model="talker"} 300'])
})

test('the time for a token after the first counts whole streams alone', async () => {
  const { meters, lines } = openMeters()
  meters.answer({ ...answer, ...rest })
  meters.answer({ ...answer, ...rest, code: 'engine_died' })
  meters.answer({ ...answer, ...rest, firstTokenMs: undefined })
  meters.answer({ ...answer, ...rest, usage: { promptTokens: 1, completionTokens: 1, estimated: false } })
  const per = (await lines('hearth_time_per_output_token_seconds')).filter((line) => !line.startsWith('_bucket'))
  // 2.5 s for ten tokens after the first.
  deepEqual(per, [
    '_sum{engine="gpu",model="talker",operation="chat"} 0.25',
    '_count{engine="gpu",model="talker",operation="chat"} 1',
  ])
  equal((await lines('hearth_time_to_first_token_seconds')).at(-1)?.split(' ')[1], '3')
})

test('each gap between two tokens is one value of the histogram of its model', async () => {
  const { meters, lines } = openMeters()
  const gap = meters.tokenGaps({ engine: 'gpu', model: 'talker' })
  const other = meters.tokenGaps({ engine: 'gpu', model: 'other' })
  for (const ms of [20, 20, 21, 4_000]) gap(ms)
  other(1)
  const all = await lines('hearth_inter_token_seconds')
  ok(all.includes('_bucket{engine="gpu",model="talker",le="0.02"} 2'))
  ok(all.includes('_bucket{engine="gpu",model="talker",le="0.025"} 3'))
  ok(all.includes('_bucket{engine="gpu",model="talker",le="+Inf"} 4'))
  ok(all.includes('_count{engine="gpu",model="other"} 1'))
})

test('the names of the GenAI conventions show the same values, with their attributes and bounds', async () => {
  const { meters, lines } = openMeters()
  meters.answer({ ...answer, ...rest })
  meters.answer({ ...answer, ...rest, code: 'engine_died' })
  const common = 'gen_ai_operation_name="chat",gen_ai_provider_name="hearth",gen_ai_request_model="talker"'
  const duration = await lines('gen_ai_server_request_duration_seconds')
  ok(duration.includes(`_bucket{${common},le="2.56"} 0`))
  ok(duration.includes(`_bucket{${common},le="5.12"} 1`))
  ok(duration.includes(`_count{${common},error_type="engine_died"} 1`))
  ok(!duration.some((line) => line.includes('le="163.84"')))
  const first = await lines('gen_ai_server_time_to_first_token_seconds')
  deepEqual(
    first.filter((line) => line.startsWith('_bucket')).map((line) => /le="([^"]+)"/.exec(line)?.[1]),
    '0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 +Inf'.split(' '),
  )
  const tokens = await lines('gen_ai_client_token_usage')
  ok(tokens.includes(`_sum{${common},gen_ai_token_type="input"} 40`))
  ok(tokens.includes(`_bucket{${common},gen_ai_token_type="output",le="16"} 2`))
  match((await lines('gen_ai_server_time_per_output_token_seconds')).at(-1) ?? '', /^_count\{.*\} 1$/)
})
