import { createHash } from 'node:crypto'
import type { Answer, Exchange } from './desync-caller.ts'
import { type Case, caseIdOf, nonceOf } from './desync-cases.ts'
import type { LogRecord } from './harness.ts'
import { nonceIn, type Seen } from './origin-recorder.ts'

/** What the engine calls the model. */
export const served = 'model-s'
const enginePath = '/v1/chat/completions'

/** A case with what its caller read. */
export interface Run extends Exchange {
  readonly sent: Case
}

export interface Verdict {
  /** Requests of which an origin answered the caller. */
  readonly accepted: number
  readonly refused: number
  /** Whole requests whose caller broke the connection before the answer: they arrive once or not at all. */
  readonly abandoned: number
  readonly disagreements: readonly string[]
  /** SHA-256 of what arrived, by nonce. */
  readonly hashes: ReadonlyMap<string, string>
}

/** Holds what an origin saw against what its callers sent and were answered, and against the gateway's own log. */
export function judge(runs: readonly Run[], seen: readonly Seen[], logs: readonly LogRecord[]): Verdict {
  const disagreements: string[] = []
  const hashes = new Map<string, string>()
  const byId = groupById(seen)
  let accepted = 0
  let refused = 0
  for (const { sent, answers, ended } of runs) {
    const say = (text: string) => disagreements.push(`case ${sent.id} (${sent.kind}): ${text}`)
    if (!ended) say('the gateway did not end the connection')
    for (const nonce of findUnanswered(sent, answers)) say(`${nonce} was not accepted`)
    for (const answer of answers.filter(({ nonce }) => nonce !== undefined)) {
      accepted += 1
      const arrived = takeArrived(byId, answer)
      const problem = judgeArrived(sent, answer.nonce, arrived)
      if (problem !== undefined) say(problem)
      hashes.set(String(answer.nonce), sha256(arrived[0]?.body ?? Buffer.alloc(0)))
    }
    for (const { status, source } of answers.filter(({ nonce, status }) => nonce === undefined && status !== 200)) {
      refused += 1
      if (status >= 500 || source !== 'gateway') say(`refused by ${source} with ${status}`)
    }
  }
  const lost = judgeUnanswered(byId, runs, logs)
  return { accepted, refused, abandoned: byId.size - lost.length, disagreements: [...disagreements, ...lost], hashes }
}

/** Bytes may differ from what a caller sent, but not between origins. */
export function findDifferingHashes(verdicts: readonly Verdict[]): string[] {
  const byNonce = new Map<string, Set<string>>()
  for (const { hashes } of verdicts)
    for (const [nonce, hash] of hashes) byNonce.set(nonce, (byNonce.get(nonce) ?? new Set()).add(hash))
  return [...byNonce].flatMap(([nonce, found]) => (found.size === 1 ? [] : [`${nonce} has ${found.size} hashes`]))
}

/** Whether the request would be served: its body is JSON, and no piece of something else. */
export function isServable({ body }: Seen): boolean {
  return Object.keys(parseObject(body)).length > 0
}

/** What one origin took for requests, by case: their nonces with the hashes of their bodies. */
export function readingsOf(seen: readonly Seen[]): ReadonlyMap<number, string> {
  const readings = new Map<number, string[]>()
  for (const request of seen) {
    const nonce = nonceOf(request)
    const id = caseIdOf(nonce) ?? -1
    readings.set(id, [...(readings.get(id) ?? []), `${nonce} ${request.method} ${sha256(request.body)}`])
  }
  return new Map([...readings].map(([id, found]) => [id, found.sort().join('\n')]))
}

function groupById(seen: readonly Seen[]): Map<string, Seen[]> {
  const byId = new Map<string, Seen[]>()
  for (const request of seen) {
    const ids = request.headers.filter(([name]) => name === 'x-request-id').map(([, value]) => value)
    const id = ids.length === 1 ? String(ids[0]) : `${ids.length} ids`
    byId.set(id, [...(byId.get(id) ?? []), request])
  }
  return byId
}

/** The requests of that answer, each of which is asked for once. */
function takeArrived(byId: Map<string, Seen[]>, { requestId = '' }: Answer): readonly Seen[] {
  const arrived = byId.get(requestId) ?? []
  byId.delete(requestId)
  return arrived
}

function findUnanswered({ parts, must }: Case, answers: readonly Answer[]): string[] {
  const answered = new Set(answers.map(({ nonce }) => nonce))
  return parts.slice(0, must).flatMap(({ nonce }) => (answered.has(nonce) ? [] : [nonce]))
}

/** What is wrong with the requests that came of one part; undefined: it arrived once, and as it was meant. */
function judgeArrived(sent: Case, nonce: string | undefined, arrived: readonly Seen[]): string | undefined {
  const part = sent.parts.find((one) => one.nonce === nonce)
  const [request] = arrived
  if (part === undefined) return `answered with ${nonce} of another caller`
  if (part.meant === undefined) return `${nonce} was accepted: ${show(request)}`
  if (arrived.length !== 1 || request === undefined) return `${nonce} arrived ${arrived.length} times`
  if (request.method !== 'POST' || request.target !== enginePath) return `${nonce} arrived as ${show(request)}`
  if (nonceIn(request.body.toString('latin1')) !== nonce) return `${nonce} was answered for ${show(request)}`
  const meant = hashMeaning({ ...part.meant, model: served })
  if (hashMeaning(parseObject(request.body)) !== meant) return `${nonce} arrived with another body: ${show(request)}`
  return undefined
}

/** What arrived and was answered to nobody: right only where the gateway itself lost the caller before the answer. */
function judgeUnanswered(
  byId: ReadonlyMap<string, readonly Seen[]>,
  runs: readonly Run[],
  logs: readonly LogRecord[],
): string[] {
  const outcomes = new Map(logs.map((record) => [record['requestId'], record['outcome']]))
  return [...byId].flatMap(([id, arrived]) => {
    const nonce = arrived[0] === undefined ? undefined : nonceOf(arrived[0])
    const run = runs.find(({ sent }) => sent.id === caseIdOf(nonce))
    const outcome = outcomes.get(id)
    const what = `${id} (${outcome}) was answered to nobody`
    if (run === undefined || outcome !== 'client_gone') return [`${what}: ${arrived.map(show).join(', ')}`]
    const problem = judgeArrived(run.sent, nonce, arrived)
    return problem === undefined ? [] : [`${what}: ${problem}`]
  })
}

/** The hash of a body's meaning; the salt of the engine's cache is the gateway's own to add. */
function hashMeaning(value: object): string {
  const rest = Object.fromEntries(Object.entries(value).filter(([key]) => key !== 'cache_salt'))
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
