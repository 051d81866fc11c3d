import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { exchange } from './desync-caller.ts'
import { makeCase } from './desync-cases.ts'
import { findDifferingHashes, isServable, judge, type Run, readingsOf, served, type Verdict } from './desync-judge.ts'
import { assertNothingLeft, startGateway } from './harness.ts'
import type { Seen } from './origin-recorder.ts'
import { findProgram, type Origin, type OriginName, originNames, startOrigin } from './origins.ts'
import { inParallel, seedOf, Tallies } from './seeded.ts'

/** For each server: 6 × 400 cases in a run, of a request or more each; 2,000 and more by hand. */
const casesEach = Number(process.env['HEARTH_DESYNC_CASES'] ?? 400)
const seed = seedOf(process.env)
const lanesEach = 4
/** How long a server waits for a caller that has fallen silent. The gateway, which has the last word on that, never is. */
const patienceS = 30
const directPatienceS = 1
/** How long our callers wait: one server here waits for ever. */
const silenceMs = 20_000
const directSilenceMs = 1_500

describe('R02: one reading of a request', () => {
  const programs = originNames.map((name) => ({ name, ...findProgram(name) }))
  const there = programs.flatMap(({ name, program }) => (program === undefined ? [] : [{ name, program }]))
  let sight: Sight = { versions: new Map(), verdicts: new Map() }

  before(async () => {
    if (there.length > 0) sight = await withOrigins(there, patienceS, throughGateway)
  })

  for (const { name, program, reason } of programs) {
    const skip = program === undefined ? reason : false
    it(`${name} sees every accepted request once and as it was meant, and none of the refused ones`, { skip }, (t) => {
      const verdict = sight.verdicts.get(name)
      assert.ok(verdict)
      const { accepted, refused, abandoned, disagreements } = verdict
      const figures = `${accepted} accepted, ${refused} refused, ${abandoned} left, ${disagreements.length} disagreements`
      t.diagnostic(`${sight.versions.get(name)}: ${figures}, seed ${seed}`)
      assert.deepEqual(disagreements.slice(0, 10), [], `seed ${seed}`)
      assert.ok(accepted >= casesEach / 4 && refused >= casesEach / 4, 'too few of either are no proof')
    })
  }

  const alone = there.length < 2 ? 'two servers are wanted to compare' : false
  it('every server is given the same bytes', { skip: alone }, (t) => {
    const verdicts = [...sight.verdicts.values()]
    const observations = verdicts.reduce((sum, { accepted, refused }) => sum + accepted + refused, 0)
    t.diagnostic(`${observations} observations, seed ${seed}`)
    assert.deepEqual(findDifferingHashes(verdicts).slice(0, 10), [], `seed ${seed}`)
    assert.ok(
      there.length < originNames.length || observations >= casesEach * 6,
      `${observations} observations are too few`,
    )
  })

  it('the same cases sent to the servers directly are read in different ways', { skip: alone }, async (t) => {
    const seen = await withOrigins(there, directPatienceS, directly)
    const disputed = findDisputed(seen)
    const kinds = new Tallies<string>()
    for (const id of disputed) for (const kind of kindsOf(id)) kinds.add(kind)
    const served = findDisputed(seen.map((requests) => requests.filter(isServable)))
    t.diagnostic(`${disputed.length} of ${casesEach} cases are read in two ways or more: ${kinds}`)
    t.diagnostic(`in ${served.length} of them an engine would serve other requests, seed ${seed}`)
    assert.ok(disputed.length >= casesEach / 20, `only ${disputed.length} of ${casesEach} cases (seed ${seed})`)
    assert.ok(served.length > 0, `none of ${casesEach} cases (seed ${seed})`)
  })
})

/** The cases of which the servers did not see the same requests. */
function findDisputed(seen: readonly (readonly Seen[])[]): readonly number[] {
  const readings = seen.map(readingsOf)
  const ids = Array.from({ length: casesEach }, (_, id) => id)
  return ids.filter((id) => new Set(readings.map((reading) => reading.get(id) ?? '')).size > 1)
}

/** What the servers saw of the gateway. */
interface Sight {
  readonly versions: ReadonlyMap<OriginName, string>
  readonly verdicts: ReadonlyMap<OriginName, Verdict>
}

function kindsOf(id: number): readonly string[] {
  return makeCase(seed, id, { key: 'none', model: served }).kind.split(' + ')
}

type Programs = readonly { readonly name: OriginName; readonly program: string }[]
type Use<T> = (origins: readonly Origin[]) => Promise<() => T>

/** Starts the origins, gives them to `use`, stops them, and only then asks what they have seen: nothing comes later. */
async function withOrigins<T>(programs: Programs, waitS: number, use: Use<T>): Promise<T> {
  const settled = await Promise.allSettled(programs.map(({ name, program }) => startOrigin(name, program, waitS)))
  const origins = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  let judge: () => T
  try {
    for (const result of settled) if (result.status === 'rejected') throw result.reason
    judge = await use(origins)
  } finally {
    await Promise.all(origins.map((origin) => origin.stop()))
  }
  return judge()
}

/** All of one length, as `served` is, so that a case is cut into the same pieces for each. */
function modelOf(name: OriginName): string {
  return `model-${originNames.indexOf(name)}`
}

async function throughGateway(origins: readonly Origin[]): Promise<() => Sight> {
  const config = {
    engines: origins.map(({ name, port }) => ({ name, url: `http://127.0.0.1:${port}`, kind: 'vllm' })),
    models: origins.map(({ name }) => ({ id: modelOf(name), engine: name, served })),
    timeouts: { bodyIdleMs: 1_000 },
  }
  const gateway = await startGateway({ config, env: { HEARTH_HOST: '127.0.0.1' } })
  let runs: ReadonlyMap<OriginName, readonly Run[]>
  try {
    runs = await runAll(origins, (name) => ({ port: gateway.port, key: gateway.key, model: modelOf(name), silenceMs }))
    await assertNothingLeft(gateway).catch((error) => {
      const words = gateway.logs().filter(({ httpRequest }) => httpRequest === undefined)
      throw new Error(`${error.message} (seed ${seed}, ${gateway.logs().length} records): ${JSON.stringify(words)}`)
    })
  } finally {
    await gateway[Symbol.asyncDispose]()
  }
  return () => ({
    versions: new Map(origins.map(({ name, version }) => [name, version])),
    verdicts: new Map(origins.map(({ name, seen }) => [name, judge(runs.get(name) ?? [], seen, gateway.logs())])),
  })
}

async function directly(origins: readonly Origin[]): Promise<() => readonly (readonly Seen[])[]> {
  const ports = new Map(origins.map(({ name, port }) => [name, port]))
  await runAll(origins, (name) => ({
    port: ports.get(name) ?? 0,
    key: 'none',
    model: served,
    silenceMs: directSilenceMs,
  }))
  return () => origins.map(({ seen }) => seen)
}

interface Aim {
  readonly port: number
  readonly key: string
  readonly model: string
  readonly silenceMs: number
}

async function runAll(origins: readonly Origin[], aimAt: (name: OriginName) => Aim) {
  const runs = origins.map(async ({ name }): Promise<[OriginName, readonly Run[]]> => {
    const { port, key, model, silenceMs: waitMs } = aimAt(name)
    const done: Run[] = []
    await inParallel(Array(casesEach).keys(), lanesEach, async (id) => {
      const sent = makeCase(seed, id, { key, model })
      done.push({ sent, ...(await exchange(port, sent, waitMs)) })
    })
    return [name, done]
  })
  return new Map(await Promise.all(runs))
}
