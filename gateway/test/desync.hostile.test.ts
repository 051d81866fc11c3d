import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import { type Exchange, exchange, inLanes } from './desync-caller.ts'
import { type Case, caseIdOf, makeCase, nonceOf } from './desync-cases.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { nonceIn, type Seen } from './origin-recorder.ts'
import { type Origin, type OriginName, originNames, programOf, startOrigin } from './origins.ts'

/** Of each origin: 6 × 220 requests and more in a run; 2,000 and more by hand. */
const casesEach = Number(process.env['HEARTH_DESYNC_CASES'] ?? 220)
const seed = Number(process.env['HEARTH_TEST_SEED'] ?? Date.now() % 2 ** 31)
const served = 'the-engines-own-name'
const lanesEach = 4
/** Longer than any server here waits for a caller that has fallen silent. */
const silenceMs = 8_000
const directSilenceMs = 1_500

/** An origin's case with what its caller read. */
interface Run extends Exchange {
  readonly sent: Case
}

interface Verdict {
  readonly observations: number
  readonly accepted: number
  readonly refused: number
  readonly disagreements: readonly string[]
  /** SHA-256 of what arrived, by nonce. */
  readonly hashes: ReadonlyMap<string, string>
}

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
      observations += verdict.observations
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

async function throughGateway(t: TestContext, origins: readonly Origin[]) {
  for (const { name, version } of origins) t.diagnostic(`${name}: ${version}`)
  const config = {
    engines: origins.map(({ name, port }) => ({ name, url: `http://127.0.0.1:${port}`, kind: 'vllm' })),
    models: origins.map(({ name }) => ({ id: name, engine: name, served })),
    timeouts: { bodyIdleMs: 300 },
  }
  const gateway = await startGateway({ config, env: { HEARTH_HOST: '127.0.0.1' } })
  let runs: ReadonlyMap<OriginName, readonly Run[]>
  try {
    runs = await runAll(origins, (name) => ({ port: gateway.port, key: gateway.key, model: name, silenceMs }))
    await assertNothingLeft(gateway)
  } finally {
    await gateway[Symbol.asyncDispose]()
  }
  return () => new Map(origins.map(({ name, seen }) => [name, judge(runs.get(name) ?? [], seen, gateway)]))
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
    const tasks = Array.from({ length: casesEach }, (_, id) => async (): Promise<Run> => {
      const sent = makeCase(seed, id, { key, model })
      return { sent, ...(await exchange(port, sent, waitMs)) }
    })
    return [name, await inLanes(tasks, lanesEach)]
  })
  return new Map(await Promise.all(runs))
}

/** What one origin took for requests, by case: their nonces with the hashes of their bodies. */
function readingsOf(seen: readonly Seen[]): ReadonlyMap<number, string> {
  const readings = new Map<number, string[]>()
  for (const request of seen) {
    const nonce = nonceOf(request)
    const id = caseIdOf(nonce) ?? -1
    readings.set(id, [...(readings.get(id) ?? []), `${nonce} ${request.method} ${sha256(request.body)}`])
  }
  return new Map([...readings].map(([id, found]) => [id, found.sort().join('\n')]))
}

/** Holds what an origin saw against what its callers sent and were answered. */
function judge(runs: readonly Run[], seen: readonly Seen[], gateway: Gateway): Verdict {
  const disagreements: string[] = []
  const hashes = new Map<string, string>()
  const byId = new Map<string, Seen[]>()
  for (const request of seen) {
    const ids = request.headers.filter(([name]) => name === 'x-request-id').map(([, value]) => value)
    const id = ids.length === 1 ? String(ids[0]) : `${ids.length} ids`
    byId.set(id, [...(byId.get(id) ?? []), request])
  }
  let accepted = 0
  let refused = 0
  for (const { sent, answers, ended } of runs) {
    const say = (text: string) => disagreements.push(`case ${sent.id} (${sent.kind}): ${text}`)
    if (!ended) say('the gateway did not end the connection')
    const answered = new Set(answers.map(({ nonce }) => nonce))
    for (const { nonce } of sent.parts.slice(0, sent.must)) if (!answered.has(nonce)) say(`${nonce} was not accepted`)
    for (const { status, requestId, nonce } of answers) {
      if (nonce === undefined) {
        refused += status === 200 ? 0 : 1
        continue
      }
      accepted += 1
      const arrived = byId.get(requestId ?? '') ?? []
      byId.delete(requestId ?? '')
      const problem = judgeAccepted(sent, nonce, arrived)
      if (problem !== undefined) say(problem)
      hashes.set(nonce, sha256(arrived[0]?.body ?? Buffer.alloc(0)))
    }
  }
  for (const [id, requests] of byId) {
    const detail = gateway.logs().find((record) => record['id'] === id || record['requestId'] === id)
    disagreements.push(
      `${requests.length} requests that no caller was answered, ${id}: ${show(requests[0])} ${JSON.stringify(detail)}`,
    )
  }
  return { observations: accepted + refused, accepted, refused, disagreements, hashes }
}

function judgeAccepted(sent: Case, nonce: string, arrived: readonly Seen[]): string | undefined {
  const part = sent.parts.find((one) => one.nonce === nonce)
  if (part === undefined) return `answered with ${nonce} of another caller`
  if (part.meant === undefined) return `${nonce} was accepted`
  const [request] = arrived
  if (arrived.length !== 1 || request === undefined) return `${nonce} arrived ${arrived.length} times`
  if (request.method !== 'POST' || request.target !== '/v1/chat/completions')
    return `${nonce} arrived as ${show(request)}`
  if (nonceIn(request.body.toString('latin1')) !== nonce) return `${nonce} was answered for ${show(request)}`
  const meant = hashMeaning({ ...part.meant, model: served })
  return hashMeaning(parseObject(request.body)) === meant
    ? undefined
    : `${nonce} arrived with another body: ${show(request)}`
}

/** Bytes may differ from what a caller sent, but not between origins. */
function findDifferingHashes(verdicts: readonly Verdict[]): string[] {
  const byNonce = new Map<string, Set<string>>()
  for (const { hashes } of verdicts)
    for (const [nonce, hash] of hashes) byNonce.set(nonce, (byNonce.get(nonce) ?? new Set()).add(hash))
  return [...byNonce].flatMap(([nonce, found]) => (found.size === 1 ? [] : [`${nonce} has ${found.size} hashes`]))
}

/** The hash of a body's meaning; the salt of the engine's cache is the gateway's own to add. */
function hashMeaning(value: object): string {
  const { cache_salt: _salt, ...rest } = value as Readonly<Record<string, unknown>>
  return sha256(Buffer.from(JSON.stringify(sortKeys(rest))))
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(entries.map(([key, inner]) => [key, sortKeys(inner)]))
}

function parseObject(bytes: Buffer): object {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function show(request: Seen | undefined): string {
  if (request === undefined) return 'nothing'
  return `${request.method} ${request.target} ${JSON.stringify(request.body.toString('latin1').slice(0, 200))}`
}

function describeVerdict({ observations, accepted, refused, disagreements }: Verdict): string {
  return `${observations} observations (${accepted} accepted, ${refused} refused), ${disagreements.length} disagreements`
}
