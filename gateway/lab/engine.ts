import { type EngineProcess, spawnEngine } from '../test/fake-control.ts'
import type { Bench } from './bench.ts'

/** What the scripted engine serves. */
export const engineModel = 'qwen2.5-vl-tiny'

/** Starts a scripted engine for the end of the road. The bench ends it. */
export async function startEngine(bench: Bench): Promise<EngineProcess> {
  const engine = await spawnEngine()
  bench.defer(() => engine.close())
  return engine
}
