import type { AppContext } from '../edge/request.ts'
import { errorTable } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Engines } from '../routing/engines.ts'
import type { Probe, ProbeResult } from '../routing/probe.ts'

/** Says that the process is up; nothing else is asked. */
export function health(c: AppContext): Response {
  return c.json({ status: 'ok' }, 200, c.get('request').headers)
}

export interface ReadyDeps {
  readonly engines: Engines
  readonly probes: ReadonlyMap<string, Probe>
  readonly draining: () => boolean
  readonly log: Log
}

/**
 * Says whether an answer can be had: each engine is asked through its whole road. 200 when every model can answer,
 * 503 with the codes of those that cannot.
 */
export function ready(deps: ReadyDeps) {
  return async (c: AppContext): Promise<Response> => {
    const { headers } = c.get('request')
    if (deps.draining()) return c.json({ ready: false, code: 'draining' }, 503, headers)
    const results = new Map(
      await Promise.all([...deps.probes].map(async ([name, probe]) => [name, await probe.check()] as const)),
    )
    for (const [engine, { ready, code, detail }] of results)
      if (!ready) deps.log('WARNING', 'not ready', { engine, code, detail })
    const models = Object.fromEntries(
      deps.engines.models.map(({ model, engine }) => [model.id, describeState(results.get(engine.config.name))]),
    )
    const everyOne = [...results.values()].every((result) => result.ready)
    return c.json(
      { ready: everyOne, models },
      everyOne ? 200 : 503,
      everyOne ? headers : { ...headers, 'retry-after': '3' },
    )
  }
}

function describeState(result: ProbeResult | undefined): { state: string; code?: string; message?: string } {
  if (result?.ready === true) return { state: 'ready' }
  const code = result?.code ?? 'engine_unreachable'
  return { state: 'unreachable', code, message: errorTable[code].text }
}
