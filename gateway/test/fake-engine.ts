/**
 * A scripted inference engine: vLLM's wire shapes from true captures, faults on command, exact counts.
 * It never imports the code it checks. As a process of its own:
 * `node gateway/test/fake-engine.ts [--port N] [--control-port N] [--models a,b] [--context N] [--dialect vllm|llamacpp|sglang|openai] [--exit-with-parent]`.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Answer, answerQuestion } from './fake-answers.ts'
import { BodyCounter } from './fake-bodies.ts'
import { type Captures, loadCaptures } from './fake-captures.ts'
import type { Limits } from './fake-checks.ts'
import { runAsProcess } from './fake-control.ts'
import { deliver, deliverRaw, Gone, type Outcome, openWire, type Wire } from './fake-delivery.ts'
import type { Dialect } from './fake-dialects.ts'
import type { Behaviour } from './fake-faults.ts'
import { type Counts, Ledger, type Received } from './fake-ledger.ts'

export type { BodyCount } from './fake-bodies.ts'
export type { Dialect } from './fake-dialects.ts'
export type { BadSse, Behaviour, ErrorBody } from './fake-faults.ts'
export { fillerText } from './fake-faults.ts'
export type { Counts, Received } from './fake-ledger.ts'

export interface EngineOptions {
  /** Default 0: a free port. */
  port?: number
  /** Default 127.0.0.1. */
  host?: string
  /** Names it serves. Default `qwen2.5-vl-tiny`, as captured. */
  models?: readonly string[]
  /** Default 4096. */
  contextTokens?: number
  /** Whose wire shapes it has. Default vLLM's. */
  dialect?: Dialect
  /** When set, every `/v1/` request without it gets vLLM's 401. */
  apiKey?: string
  /** Idle keep-alive. Default 5000, as vLLM. */
  keepAliveMs?: number
  /** Called when a behaviour says that the engine's process exits. */
  onExit?: () => void
}

export interface FakeEngine extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** In order of arrival. */
  readonly requests: readonly Received[]
  /** Queues behaviours: each serves the next request (or `times` of them) on its path. */
  script(...behaviours: Behaviour[]): void
  /** What the path does while its queue is empty. */
  setDefault(behaviour: Behaviour): void
  /** Lets every stalled exchange go on. */
  release(): void
  /** Forgets queue, defaults, requests and peaks; what is running goes on. */
  reset(): void
  counts(): Counts
  /** The requests whose client left before the end. */
  aborts(): Received[]
  /** Resolves once the predicate holds, asked again at every change here; else a DeadlineError with the counts. */
  waitFor(predicate: (counts: Counts) => boolean, label: string, timeoutMs?: number): Promise<void>
  /** Ends every exchange, every socket, and frees the port. */
  close(): Promise<void>
}

const KEEP_JSON_BYTES = 1 << 20
const KEEP_BODY_BYTES = 64 << 20
const MAX_HEAD_BYTES = 1 << 20
const NOT_HTTP =
  'HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\nInvalid HTTP request received.'

/** Starts an engine; whoever starts it closes it. */
export async function startEngine(options: EngineOptions = {}): Promise<FakeEngine> {
  const captures = await loadCaptures()
  const ledger = new Ledger()
  const exchanges = new Set<Promise<void>>()
  const server = openServer(options, ledger)
  server.on('request', (request, response) => {
    // It came behind a raw answer, of whose end the server does not know: its turn would never come.
    if (response.socket === null) return void request.socket.destroy()
    const exchange = exchangeOne(request, response, ledger, captures, options).finally(() => exchanges.delete(exchange))
    exchanges.add(exchange)
  })
  const host = options.host ?? '127.0.0.1'
  server.listen(options.port ?? 0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = async (): Promise<void> => {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    for (const socket of ledger.sockets.keys()) socket.destroy()
    await Promise.all([closed, ...exchanges])
    await ledger.waitFor((counts) => counts.socketsOpen === 0, 'the sockets of the engine close')
  }
  return {
    url: `http://${host}:${port}`,
    port,
    requests: ledger.requests,
    script: (...behaviours) => ledger.script(behaviours),
    setDefault: (behaviour) => ledger.setDefault(behaviour),
    release: () => ledger.release(),
    reset: () => ledger.reset(),
    counts: () => ledger.counts(),
    aborts: () => ledger.requests.filter(({ outcome }) => outcome === 'aborted'),
    waitFor: (predicate, label, timeoutMs) => ledger.waitFor(predicate, label, timeoutMs),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function openServer(options: EngineOptions, ledger: Ledger): Server {
  const server = createServer({
    keepAliveTimeout: options.keepAliveMs ?? 5000,
    keepAliveTimeoutBuffer: 0,
    requestTimeout: 0,
    headersTimeout: 0,
    maxHeaderSize: MAX_HEAD_BYTES,
  })
  server.on('connection', (socket) => ledger.connect(socket))
  server.on('clientError', (_error, socket) => {
    ledger.refuse()
    if (socket.writable) socket.end(NOT_HTTP)
    else socket.destroy()
  })
  return server
}

/** One exchange from the request's head to its end, written into the ledger; never throws. */
async function exchangeOne(
  request: IncomingMessage,
  response: ServerResponse,
  ledger: Ledger,
  captures: Captures,
  options: EngineOptions,
): Promise<void> {
  const received = ledger.open(request)
  const wire = openWire(response)
  const behaviour = keyMissing(request, options.apiKey) ?? ledger.take(pathOf(request))
  const limits: Limits = {
    models: options.models ?? ['qwen2.5-vl-tiny'],
    contextTokens: options.contextTokens ?? 4096,
    ...(options.dialect === undefined ? {} : { dialect: options.dialect }),
  }
  const answer = (text: string | undefined): Answer => {
    const { running } = ledger.counts()
    const echo = received.body ?? { bytes: 0, sha256: '', dataUris: [] }
    const contentType = request.headers['content-type']
    const question = { method: received.method, path: pathOf(request), contentType, text, echo, running }
    return answerQuestion(question, behaviour, captures, limits)
  }
  const outcome = await converse({ request, received, behaviour, wire, ledger, answer })
  ledger.close(received, outcome, wire)
  if (behaviour.dies?.exit === true && outcome === 'done') options.onExit?.()
}

interface Exchange {
  readonly request: IncomingMessage
  readonly received: Received
  readonly behaviour: Behaviour
  readonly wire: Wire
  readonly ledger: Ledger
  answer(text: string | undefined): Answer
}

async function converse(exchange: Exchange): Promise<Outcome> {
  const { request, received, behaviour, wire, ledger } = exchange
  const watched: Wire = {
    ...wire,
    head: async (...head) => {
      ledger.advance(received, 'body')
      await wire.head(...head)
    },
  }
  try {
    const body = await readBody(exchange)
    if (body === 'cut') return 'fault'
    ledger.advance(received, 'head')
    if (behaviour.raw !== undefined) return await deliverRaw(behaviour.raw, request.socket)
    return await deliver(exchange.answer(body.text), behaviour, watched, (gone) => ledger.hold(gone))
  } catch (error) {
    if (error instanceof Gone || wire.gone.aborted || request.destroyed) return 'aborted'
    console.error('the scripted engine failed:', error)
    wire.cut('rst')
    return 'fault'
  }
}

/** Takes the request body in, hashing it; the text is undefined where it was not kept. */
async function readBody(exchange: Exchange): Promise<'cut' | { text: string | undefined }> {
  const { request, received, behaviour, wire, ledger } = exchange
  const { upload } = behaviour
  const keepBytes = behaviour.echo === undefined ? KEEP_BODY_BYTES : KEEP_JSON_BYTES
  const counter = new BodyCounter()
  let kept: Buffer[] = []
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    counter.add(chunk)
    if (counter.bytes <= keepBytes) kept.push(chunk)
    else kept = []
    if (upload === undefined || counter.bytes < upload.atByte) continue
    if (upload.how === 'answer') return { text: undefined }
    if (upload.how === 'stall') {
      await ledger.hold(wire.gone)
      continue
    }
    wire.cut(upload.how)
    return 'cut'
  }
  received.body = counter.finish()
  const text = counter.bytes <= keepBytes ? Buffer.concat(kept).toString() : undefined
  if (text !== undefined && counter.bytes <= KEEP_JSON_BYTES) received.json = parseJson(text)
  return { text }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?')[0] ?? ''
}

/** vLLM's own 401 where a key is wanted. */
function keyMissing(request: IncomingMessage, apiKey: string | undefined): Behaviour | undefined {
  if (apiKey === undefined || !pathOf(request).startsWith('/v1/')) return undefined
  if (request.headers.authorization === `Bearer ${apiKey}`) return undefined
  return { error: { status: 401, body: 'string', message: 'Unauthorized' } }
}

if (import.meta.main) await runAsProcess(process.argv.slice(2), startEngine)
