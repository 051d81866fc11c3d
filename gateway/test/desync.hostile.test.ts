import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { exchange } from './desync-caller.ts'
import { makeCase } from './desync-cases.ts'
import { findDifferingHashes, judge, type Run, readingsOf, served, type Verdict } from './desync-judge.ts'
import { assertNothingLeft, startGateway } from './harness.ts'
import { type Origin, type OriginName, originNames, programOf, startOrigin } from './origins.ts'
import { inParallel, seedOf } from './seeded.ts'

/** Of each origin: 6 × 220 requests and more in a run; 2,000 and more by hand. */
const casesEach = Number(process.env['HEARTH_DESYNC_CASES'] ?? 220)
const seed = seedOf(process.env)
const lanesEach = 4
/** Longer than any server here waits for a caller that has fallen silent. */
const silenceMs = 8_000
const directSilenceMs = 1_500

describe('R02: one reading of a request', () => {
  const programs = originNames.map((name) => ({ name, program: programOf(name) }))
  const there = programs.flatMap(({ name, program }) => (program === undefined ? [] : [{ name, program }]))
  const reason = process.env['HEARTH_ORIGINS_MISSING'] ?? 'its program is not named: npm test -- --only hostile'

  for (const { name, program } of programs)
    it(`stands before ${name}`, { skip: program === undefined ? `${name}: ${reason}` : false }, () => {})

  it('each origin sees every accepted request once and as it was meant, and none of the refused ones', async (t) => {
    if (there.length === 0) return t.skip(reason)
    const verdicts = await withOrigins(there, (origins) => throughGateway(t, origins))
    let observations = 0
    for (const [name, verdict] of verdicts) {
      observations += verdict.accepted + verdict.refused
      t.diagnostic(`${name}: ${describeVerdict(verdict)}`)
    }
    t.diagnostic(`${observations} observations, seed ${seed}`)
    const differing = findDifferingHashes([...verdicts.values()])
    const all = [...verdicts].flatMap(([name, { disagreements }]) => disagreements.map((text) => `${name}: ${text}`))
    assert.deepEqual([...all, ...differing].slice(0, 20), [], `seed ${seed}`)
    for (const [name, { accepted, refused }] of verdicts)
      assert.ok(accepted > 50 && refused > 50, `${name} saw too little`)
    if (there.length === originNames.length)
      assert.ok(observations >= 1_200, `${observations} observations are too few`)
  })

  it('the same cases sent to the origins directly are read in different ways', async (t) => {
    if (there.length < 2) return t.skip(`two origins are wanted to compare; ${reason}`)
    const readings = await withOrigins(there, (origins) => directly(origins))
    const disputed = new Map<string, number>()
    let cases = 0
    for (let id = 0; id < casesEach; id += 1) {
      const found = new Set([...readings.values()].map((reading) => reading.get(id) ?? ''))
      if (found.size < 2) continue
      cases += 1
      for (const kind of makeCase(seed, id, { key: '', model: served }).kind.split(' + '))
        disputed.set(kind, (disputed.get(kind) ?? 0) + 1)
    }
    t.diagnostic(`without the gateway: ${cases} of ${casesEach} cases read in at least two ways, seed ${seed}`)
    t.diagnostic([...disputed].map(([kind, count]) => `${kind} ${count}`).join(', '))
    assert.ok(cases >= casesEach / 20, `only ${cases} of ${casesEach} cases (seed ${seed})`)
  })
})

type Programs = readonly { readonly name: OriginName; readonly program: string }[]
type Use<T> = (origins: readonly Origin[]) => Promise<() => T>

/** Starts the origins, gives them to `use`, stops them, and only then asks what they have seen: nothing comes later. */
async function withOrigins<T>(programs: Programs, use: Use<T>): Promise<T> {
  const settled = await Promise.allSettled(programs.map(({ name, program }) => startOrigin(name, program)))
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

async function throughGateway(t: TestContext, origins: readonly Origin[]) {
  for (const { name, version } of origins) t.diagnostic(`${name}: ${version}`)
  const config = {
    engines: origins.map(({ name, port }) => ({ name, url: `http://127.0.0.1:${port}`, kind: 'vllm' })),
    models: origins.map(({ name }) => ({ id: modelOf(name), engine: name, served })),
    timeouts: { bodyIdleMs: 300 },
  }
  const gateway = await startGateway({ config, env: { HEARTH_HOST: '127.0.0.1' } })
  let runs: ReadonlyMap<OriginName, readonly Run[]>
  try {
    runs = await runAll(origins, (name) => ({ port: gateway.port, key: gateway.key, model: modelOf(name), silenceMs }))
    await assertNothingLeft(gateway)
  } finally {
    await gateway[Symbol.asyncDispose]()
  }
  return () => new Map(origins.map(({ name, seen }) => [name, judge(runs.get(name) ?? [], seen, gateway.logs())]))
}

async function directly(origins: readonly Origin[]) {
  const ports = new Map(origins.map(({ name, port }) => [name, port]))
  await runAll(origins, (name) => ({
    port: ports.get(name) ?? 0,
    key: 'none',
    model: served,
    silenceMs: directSilenceMs,
  }))
  return () => new Map(origins.map(({ name, seen }) => [name, readingsOf(seen)]))
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

function describeVerdict({ accepted, refused, abandoned, disagreements }: Verdict): string {
  return `${accepted} accepted, ${refused} refused, ${abandoned} abandoned, ${disagreements.length} disagreements`
}
