import { deepEqual, equal, ok } from 'node:assert/strict'
import { errorTable } from '../../src/errors.ts'
import { waitUntil } from '../deadline.ts'
import type { Behaviour, Received } from '../fake-engine.ts'
import { chat, rawHeaders } from '../wire.ts'
import type { ClientName, Seen } from './ask.ts'
import { type Bench, beatingKeys } from './bench.ts'

/** One thing that people do with a client, and what must be seen on both sides of the gateway. */
export interface Case {
  /** A row of docs/clients.md. */
  readonly name: string
  /** Who cannot do it, and why. */
  readonly without?: Partial<Readonly<Record<ClientName, string>>>
  /** Plays it and judges; what it returns stands in the row instead of a plain yes. */
  readonly play: (bench: Bench) => Promise<string | undefined>
}

/** A word of its own for each client, such as the class of an error. */
export type PerClient = Readonly<Record<ClientName, string>>

/** What an error must be, whoever shows it. */
export interface ExpectedError {
  readonly status: number | null
  readonly code: keyof typeof errorTable
  readonly param?: string
  /** A piece of its text. Left out: the public text of its code. */
  readonly text?: string
  readonly class: PerClient
}

/** litellm builds errors of its own for most statuses, and keeps only the text of ours. */
const keepsTextOnly: ClientName = 'litellm'

/** The one error that the client shows; its class is the answer. */
export function assertError(bench: Bench, seen: Seen, expected: ExpectedError): string {
  const { error } = seen
  ok(error !== null, `no error; it saw ${JSON.stringify(seen)}`)
  const { client } = bench
  equal(error.class, expected.class[client.name], error.message)
  const text = expected.text ?? errorTable[expected.code].text
  ok(error.message.includes(text), `"${text}" is not in "${error.message}"`)
  if (expected.status !== null || client.name !== keepsTextOnly) equal(error.status, expected.status)
  if (error.code !== null || client.name !== keepsTextOnly) {
    equal(error.code, expected.code)
    equal(error.param, expected.param ?? null)
  }
  equal(seen.ended, false)
  return `\`${error.class}\``
}

/** A whole answer: its text, its reason, its one id, and the id of the request. */
export function assertWhole(seen: Seen, text: string | RegExp, finish = 'stop'): void {
  equal(seen.error, null, JSON.stringify(seen.error))
  if (typeof text === 'string') equal(seen.texts.join(''), text)
  else ok(text.test(seen.texts.join('')), seen.texts.join(''))
  deepEqual(seen.finishes, [finish])
  equal(seen.ended, true)
  equal(seen.ids.length, 1, `ids ${seen.ids.join(', ')}`)
}

/** The fields of the last request, as the engine got them. */
export function lastRequest(bench: Bench): Received & { readonly json: Readonly<Record<string, unknown>> } {
  const received = bench.engine.requests.at(-1)
  ok(received !== undefined, 'the engine got no request')
  const { json } = received
  ok(typeof json === 'object' && json !== null, 'the request is no object')
  return { ...received, json: { ...json } }
}

/**
 * What the client sees of a stream that falls silent as `behaviour` says. The silence ends once another stream, which began
 * later and has the same key, got a heartbeat.
 */
export async function askInSilence(bench: Bench, form: keyof typeof beatingKeys, behaviour: Behaviour): Promise<Seen> {
  const { engine, gateway } = bench
  const key = gateway.keys[beatingKeys[form].split(' ')[0] ?? '']
  ok(key !== undefined)
  engine.script({ ...behaviour, times: 2 })
  const before = engine.counts().requests
  const asked = bench.ask({ stream: true, key })
  await engine.waitFor(({ requests }) => requests === before + 1, 'the client has asked', slowMs)
  const witness = await chat(
    gateway,
    { stream: true },
    { headers: { ...rawHeaders(gateway), authorization: `Bearer ${key}` } },
  )
  ok(witness.body !== null)
  let text = ''
  for await (const bytes of witness.body.pipeThrough(new TextDecoderStream())) {
    text += bytes
    if (beats[form].test(text)) engine.release()
  }
  ok(beats[form].test(text), `no heartbeat in ${text}`)
  let seen: Seen | undefined
  void asked.then((answer) => {
    seen = answer
  })
  // On a busy machine the engine may come to its silence only now.
  const goOn = () => {
    engine.release()
    return seen
  }
  return await waitUntil(goOn, slowMs, 'the client has its answer')
}

const beats = { comment: /^:/m, 'empty-delta': /"delta":\{\}/ } as const

/** For what a busy machine may take long over. */
export const slowMs = 20_000

/** Waits until nothing runs at the engine any more, and says how its requests ended. */
export async function settled({ engine }: Bench): Promise<readonly string[]> {
  await engine.waitFor(({ running }) => running === 0, 'nothing runs at the engine', slowMs)
  return engine.requests.map(({ outcome }) => outcome)
}
