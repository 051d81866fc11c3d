import { type FakeEngine, startEngine } from './fake-engine.ts'
import { type FakeSidecar, startSidecar } from './fake-sidecar.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { model } from './wire.ts'

/** Sections of hearth.yaml with which no failed dial is tried again. */
export const once = { limits: { connectTries: 1 } }

/** A gateway whose engine stands behind the mesh. */
export interface Road {
  readonly engine: FakeEngine
  readonly sidecar: FakeSidecar
  readonly gateway: Gateway
}

export interface RoadOptions {
  readonly sections?: object
  readonly capacity?: number
  readonly meshPort?: number
}

/** A gateway, a scripted sidecar and a scripted engine; given to `use`, then proved to have left nothing. */
export async function withRoad(options: RoadOptions, use: (road: Road) => Promise<void>): Promise<void> {
  await using engine = await startEngine()
  await using sidecar = await startSidecar(engine.port)
  const { capacity = 16, sections } = options
  const config = {
    engines: [{ name: 'gpu', url: 'http://vllm.home', via: 'mesh:gpu', kind: 'vllm', capacity }],
    models: [{ id: model, engine: 'gpu' }],
    ...sections,
  }
  const env = {
    HEARTH_HOST: '127.0.0.1',
    HEARTH_MESH_ADDR: `127.0.0.1:${options.meshPort ?? sidecar.port}`,
    HEARTH_MESH_STATUS_URL: sidecar.statusUrl,
  }
  const gateway = await startGateway({ config, env })
  try {
    await use({ engine, sidecar, gateway })
    engine.release()
    await assertNothingLeft(gateway, engine)
  } finally {
    await gateway[Symbol.asyncDispose]()
  }
}

/** The log record of the chat request that ended so. */
export function recordOf(gateway: Gateway, outcome: string): Promise<Readonly<Record<string, unknown>>> {
  const fits = (record: Readonly<Record<string, unknown>>) =>
    record['outcome'] === outcome && record['route'] === '/v1/chat/completions'
  return gateway.waitForLog(fits, `a record with outcome ${outcome}`)
}

/** The text of GET /metrics. */
export async function metricsOf(gateway: Gateway): Promise<string> {
  const record = await gateway.waitForLog(({ message }) => message === 'admin listening', 'the admin port')
  return (await fetch(`http://127.0.0.1:${record['port']}/metrics`)).text()
}
