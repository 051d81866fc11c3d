import { DeadlineError } from './deadline.ts'
import type { Case } from './desync-cases.ts'
import { openRaw, type RawClient } from './raw-client.ts'

/** One answer as its caller read it. */
export interface Answer {
  readonly status: number
  readonly requestId: string | undefined
  /** Who made an error. */
  readonly source: string | undefined
  /** What an origin said that it answers to. */
  readonly nonce: string | undefined
}

export interface Exchange {
  readonly answers: readonly Answer[]
  /** Whether the other side ended the connection in time. */
  readonly ended: boolean
}

/** Sends a case on a connection of its own and reads all that comes until the other side closes or falls silent. */
export async function exchange(port: number, { steps }: Case, silenceMs: number): Promise<Exchange> {
  await using client = await openRaw(port)
  const answers: Answer[] = []
  let ended = false
  const waiting = new Set<() => void>()
  const tell = () => {
    for (const ask of waiting) ask()
  }
  const reading = readAnswers(client, silenceMs, (answer) => {
    answers.push(answer)
    tell()
  }).then((closed) => {
    ended = closed
    tell()
    return closed
  })
  const over = reading.then(() => true)
  for (const step of steps) {
    await client.write(step.bytes).catch(() => {})
    while (answers.length < step.answers) {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      const more = () => resolve(false)
      waiting.add(more)
      const gone = await Promise.race([promise, over])
      waiting.delete(more)
      if (gone) break
    }
    // A turn of the loop, so that pieces leave as pieces.
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  await reading
  return { answers, ended }
}

/** Resolves with whether the connection was ended by the other side. */
async function readAnswers(client: RawClient, silenceMs: number, onAnswer: (answer: Answer) => void): Promise<boolean> {
  try {
    for (;;) {
      const head = await client.readHead(silenceMs)
      if (head.status < 200) continue
      const body = await client.readBody(head, silenceMs)
      const source = head.header('x-hearth-error-source')
      onAnswer({ status: head.status, requestId: head.header('x-request-id'), source, nonce: readNonce(body.bytes) })
    }
  } catch (error) {
    // The reader's other errors say that the connection ended, or that what came is no HTTP: both are an end.
    return !(error instanceof DeadlineError)
  }
}

function readNonce(bytes: Buffer): string | undefined {
  return /"nonce": ?"(case-\d+-\d+)"/.exec(bytes.toString('latin1'))?.[1]
}
