import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { openTo } from '../src/edge/cors.ts'
import { type FrontDoorOptions, openFrontDoor, refuseOdd } from '../src/edge/front-door.ts'
import type { AppEnv } from '../src/edge/request.ts'
import { HearthError } from '../src/errors.ts'
import type { Fields, LogContext, Severity } from '../src/log.ts'
import type { Meters } from '../src/metrics.ts'
import { withDeadline } from './deadline.ts'
import { openRaw, type RawClient } from './raw-client.ts'

type Metered = Parameters<Meters['request']>[0]

/** What a piece of the edge wrote down. */
export interface Notes {
  readonly records: (Fields & { readonly severity: Severity; readonly message: string })[]
  /** What each record says of its request. */
  readonly contexts: LogContext[]
  readonly metered: Metered[]
  readonly options: FrontDoorOptions
  /** Resolves with the record of that number, counted from 1. */
  record(number: number): Promise<Notes['records'][number]>
}

/** A server of this process on a port of its own; whoever opens it disposes of it. */
export interface Doorway extends Notes, AsyncDisposable {
  readonly server: Server
  readonly port: number
  /** The next connection, as this side has it; `closed` resolves once it is gone. */
  accepted(): Promise<{ readonly socket: Socket; readonly closed: Promise<void> }>
  /** A connection that the doorway destroys at its end. */
  open(): Promise<RawClient>
  /** One text on a connection of its own; the head of the answer, and its body once it is whole. */
  say(text: string): Promise<Said>
}

export interface Said {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** The code of an error body, or nothing. */
  readonly code: string | undefined
}

const waitMs = 3_000

/** Options of a front door that keep what it tells. */
export function takeNotes(origins: readonly string[] = []): Notes {
  const records: Notes['records'] = []
  const contexts: LogContext[] = []
  const metered: Metered[] = []
  let ids = 0
  let heard = Promise.withResolvers<void>()
  const options: FrontDoorOptions = {
    log: (severity, message, fields = {}, context = {}) => {
      records.push({ ...present(fields), severity, message })
      contexts.push(context)
      heard.resolve()
      heard = Promise.withResolvers<void>()
    },
    meters: { request: (request) => void metered.push(request) },
    newId: () => {
      ids += 1
      return `id-${ids}`
    },
    openTo: openTo(origins),
    answeredAtDoor: new WeakSet(),
  }
  const record = async (number: number): Promise<Notes['records'][number]> => {
    for (;;) {
      const found = records[number - 1]
      if (found !== undefined) return found
      await withDeadline(heard.promise, waitMs, `record ${number}; there are ${records.length}`)
    }
  }
  return { records, contexts, metered, options, record }
}

function present(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/** Opens the front door of this process before `listener`. */
export async function openDoorway(
  listener: (incoming: IncomingMessage, outgoing: ServerResponse) => unknown,
  notes: Notes = takeNotes(),
  headersTimeoutMs = 5_000,
): Promise<Doorway> {
  const server = createServer({
    requireHostHeader: false,
    headersTimeout: headersTimeoutMs,
    connectionsCheckingInterval: 20,
    noDelay: true,
  })
  server.maxHeadersCount = 0
  openFrontDoor(server, listener, notes.options)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const clients: RawClient[] = []
  const open = async (): Promise<RawClient> => {
    const client = await openRaw(port)
    clients.push(client)
    return client
  }
  const say = async (text: string): Promise<Said> => {
    const client = await open()
    await client.write(text)
    return await readAnswer(client)
  }
  const accepted: Doorway['accepted'] = () =>
    new Promise((resolve) =>
      server.once('connection', (socket: Socket) => {
        // Not events.once(), to which a reset would be a failure.
        resolve({ socket, closed: new Promise((done) => socket.once('close', () => done())) })
      }),
    )
  const dispose = async (): Promise<void> => {
    for (const client of clients) client.destroy()
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await withDeadline(closed, waitMs, 'the server of the test closes')
  }
  return { ...notes, server, port, accepted, open, say, [Symbol.asyncDispose]: dispose }
}

/** A front door before an app of Hono, whose errors become `{"error":{"code"}}` with the headers of the request. */
export async function openApp(
  fill: (app: Hono<AppEnv>, notes: Notes) => void,
  notes: Notes = takeNotes(),
): Promise<Doorway> {
  const app = new Hono<AppEnv>()
  app.onError((error, c) => {
    const code = error instanceof HearthError ? error.code : String(error)
    const request = c.get('request')
    request.log.outcome = code
    const status = error instanceof HearthError ? error.status : 500
    return new Response(JSON.stringify({ error: { code, message: error.message } }), {
      status,
      headers: request.headers,
    })
  })
  fill(app, notes)
  const errorHandler = (error: unknown) => refuseOdd(error, notes.options)
  return await openDoorway(
    getRequestListener(app.fetch, { overrideGlobalObjects: false, hostname: 'localhost', errorHandler }),
    notes,
  )
}

/** The next answer on a connection, read to its end. */
export async function readAnswer(client: RawClient): Promise<Said> {
  const head = await client.readHead(waitMs)
  const headers = Object.fromEntries(head.headers.map(([name, value]) => [name.toLowerCase(), value]))
  const isEmpty = head.status < 200 || head.status === 204
  const text = isEmpty ? '' : (await client.readBody(head, waitMs)).bytes.toString()
  return { status: head.status, headers, text, code: /"code":"(\w+)"/.exec(text)?.[1] }
}
