import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { RequestError } from '@hono/node-server'
import { describe, type ErrorCode, errorBody, errorHeaders, HearthError, toHearthError } from '../errors.ts'
import { logRequest } from '../log/request-record.ts'
import type { Log } from '../log.ts'
import type { Meters } from '../metrics.ts'
import type { OpenTo } from './cors.ts'
import { cutLater, lingerOnClose } from './linger.ts'
import { headersOfAll } from './request.ts'
import { shownPath } from './shown-path.ts'
import { judgeRequest } from './verdict.ts'

export interface FrontDoorOptions {
  readonly log: Log
  readonly meters: Pick<Meters, 'request'>
  readonly newId: () => string
  /** Lets pages of the listed origins read why they are refused. */
  readonly openTo: OpenTo
  /** Where the door puts answers that it gave in the place of the app, which then writes no second record. */
  readonly answeredAtDoor: WeakSet<ServerResponse>
}

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => unknown

/** What Node's parser calls its complaints that are more than "no HTTP". */
const codeOfComplaint: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'head_timeout',
  HPE_HEADER_OVERFLOW: 'too_many_headers',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'body_too_large',
}

/**
 * Stands between Node's HTTP server and the app: heads that {@link judgeRequest} refuses and bytes that are no HTTP
 * never reach the app, get the one error shape, and lose their connection.
 */
export function openFrontDoor(server: Server, listener: Listener, options: FrontDoorOptions): void {
  const latest = new WeakMap<Duplex, ServerResponse>()
  const open = new WeakMap<Duplex, Set<ServerResponse>>()
  const spoilt = new WeakSet<Duplex>()
  const enter: Listener = (incoming, outgoing) => {
    // What comes after the last answer of a connection is not looked at.
    if (incoming.socket.writableEnded || spoilt.has(incoming.socket)) return
    latest.set(incoming.socket, outgoing)
    keepWhileOpen(open, incoming.socket, outgoing)
    const refusal = judge(incoming)
    if (refusal === undefined) return void listener(incoming, outgoing)
    // Its answer may wait for an earlier one; where the next request begins is in doubt all the same.
    spoilt.add(incoming.socket)
    answer(outgoing, note(refusal, incoming, options))
  }
  server.on('connection', (socket) => {
    lingerOnClose(socket, () => spoilt.has(socket) || latest.get(socket)?.req.complete === false)
    socket.on('end', () => leaveWithCaller(socket, open.get(socket)))
  })
  server.on('request', enter)
  server.on('checkExpectation', enter)
  server.on('checkContinue', (incoming, outgoing) => {
    // Only who is let in is told to send the body: the word goes out when somebody begins to read it.
    const goOn = () => {
      if (!outgoing.headersSent && !outgoing.destroyed) outgoing.writeContinue()
    }
    // Behind an earlier answer, Node would put the word between this one's head and its body.
    incoming.once('resume', () => (outgoing.socket === null ? outgoing.once('socket', goOn) : goOn()))
    enter(incoming, outgoing)
  })
  server.on('connect', (incoming, socket) => {
    answerBare(socket, note(judge(incoming) ?? new HearthError('bad_request_line'), incoming, options))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const last = latest.get(socket)
    const isCut = last?.req.complete === false && !last.headersSent
    // The last answer that is still owed: that of a request that broke off in its body is our own to give.
    const owed = isCut ? [...(open.get(socket) ?? [])].findLast((answer) => answer !== last) : last
    // An answer is under way, or belongs to the request before this one: another would be taken for it.
    const isBusy = owed !== undefined && !owed.writableFinished && (owed.headersSent || owed.req.complete)
    // The parser complains of every further piece too; a cut now would throw away the answer to the first.
    if (spoilt.has(socket) && error.code !== 'ECONNRESET') return
    if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
    spoilt.add(socket)
    if (isBusy) return endWith(owed, socket)
    if (isCut) options.answeredAtDoor.add(last)
    answerBare(socket, note(complaint(error), last?.req.complete === false ? last.req : undefined, options))
  })
}

/**
 * A caller who ends its side has left: Node gives no more of an answer then. But it waits until what is written already
 * is read, which such a caller may never do, and the engine would work on for so long.
 */
function leaveWithCaller(socket: Socket, answers: ReadonlySet<ServerResponse> = new Set()): void {
  if (socket.writableEnded && [...answers].some(({ writableEnded }) => !writableEnded)) socket.destroy()
}

function keepWhileOpen(open: WeakMap<Duplex, Set<ServerResponse>>, socket: Duplex, outgoing: ServerResponse): void {
  const answers = open.get(socket) ?? new Set()
  open.set(socket, answers.add(outgoing))
  outgoing.once('close', () => answers.delete(outgoing))
}

/** The answer where the adapter refuses to make a request of what the door let in, such as the host `127.1`. */
export function refuseOdd(thrown: unknown, options: FrontDoorOptions): Response {
  const error =
    thrown instanceof RequestError ? new HearthError('bad_header', { detail: describe(thrown) }) : toHearthError(thrown)
  const { status, headers, body } = note(error, undefined, options)
  return new Response(body, { status, headers: { ...headers } })
}

function judge({ method = '', url = '', httpVersion, rawHeaders }: IncomingMessage): HearthError | undefined {
  const refusal = judgeRequest({ method, url, httpVersion, rawHeaders })
  return refusal && new HearthError(refusal.code, { message: refusal.message })
}

function complaint({ code = '', message }: NodeJS.ErrnoException): HearthError {
  return new HearthError(codeOfComplaint[code] ?? 'malformed_request', { detail: `${code}: ${message}` })
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * Writes the one record of a request that the app never saw, and returns what its caller is told. `incoming` is there
 * where its head could be read.
 */
function note(error: HearthError, incoming: IncomingMessage | undefined, options: FrontDoorOptions): Answer {
  const { newId, meters, log, openTo } = options
  const requestId = newId()
  const { code, status } = error
  meters.request({ route: 'other', status, code, ms: 0 })
  const body = errorBody(error)
  const bytesOut = Buffer.byteLength(body)
  const { method, httpVersion, url } = incoming ?? {}
  const userAgent = incoming?.headers['user-agent']
  const path = url === undefined ? undefined : shownPath(url)
  // Its trace is not looked at: nothing of a head that two readers could read in two ways is taken for anything.
  const exchange = { method, httpVersion, path, status, ms: 0, userAgent, trace: undefined }
  const detail = error.detail ?? error.message
  logRequest(log, 'INFO', exchange, { requestId, outcome: code, bytesOut, detail })
  const headers = {
    ...headersOfAll(requestId),
    ...openTo(originOf(incoming)),
    ...errorHeaders(error),
    'content-length': String(bytesOut),
    connection: 'close',
  }
  return { status, headers, body }
}

/** The page that asks; none where a head names two, of which Node shows the first. */
function originOf(incoming: IncomingMessage | undefined): string | undefined {
  const raw = incoming?.rawHeaders ?? []
  const origins = raw.filter((_, at) => at % 2 === 1 && raw[at - 1]?.toLowerCase() === 'origin')
  return origins.length === 1 ? origins[0] : undefined
}

/** Answers in its turn: an earlier request of the same connection may still be at work. */
function answer(outgoing: ServerResponse, { status, headers, body }: Answer): void {
  outgoing.writeHead(status, headers)
  outgoing.end(body)
}

/** Makes an answer the last one of its connection: behind its request came bytes that are no HTTP. */
function endWith(outgoing: ServerResponse, socket: Duplex): void {
  if (!outgoing.headersSent) outgoing.setHeader('connection', 'close')
  outgoing.once('finish', () => (socket as Socket).destroySoon())
}

/** Answers where Node offers no way to, and closes. */
function answerBare(socket: Duplex, { status, headers, body }: Answer): void {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.on('error', () => {})
  cutLater(socket)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`)
  // What still comes is thrown away: bytes that nobody read would turn the close into a reset, and the answer be lost.
  socket.resume()
}
