import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { withDeadline } from '../../gateway/test/deadline.ts'

/** One chat request, answered by the test step by step. */
export interface ScriptedStream {
  readonly body: { model: string; messages: readonly { role: string; content: string }[] }
  /** Resolves when the client has left. */
  readonly left: Promise<void>
  comment(text: string): void
  write(text: string): void
  /** Ends as vLLM does: finish_reason, usage, `[DONE]`. */
  finish(options?: { reason?: string; usage?: boolean }): void
  fail(code: string, message: string): void
  /** Destroys the connection. */
  cut(): void
}

export interface Refusal {
  status: number
  code: string
  message: string
  headers?: Record<string, string>
}

export interface ScriptedGateway {
  readonly origin: string
  readonly key: string
  /** What the next chat requests get in place of an answer, first in, first out. */
  readonly refusals: Refusal[]
  /** While true the gateway answers by itself, a word every few milliseconds. */
  isAutomatic: boolean
  allowsPage: boolean
  models: readonly string[]
  /** The next chat request that no refusal took. */
  nextStream(): Promise<ScriptedStream>
  close(): Promise<void>
}

const wordEveryMs = 15
const automaticAnswer = Array.from({ length: 80 }, (_, index) => `word${index} `)

/** A gateway in the wire shape of the real one, for the states a real one does not show on command. */
export async function startScriptedGateway(): Promise<ScriptedGateway> {
  const waiting: ScriptedStream[] = []
  let wake: (() => void) | undefined
  const gateway = {
    origin: '',
    key: 'hk_test_0123456789abcdef',
    refusals: [] as Refusal[],
    isAutomatic: false,
    allowsPage: true,
    models: ['smollm2-135m-instruct', 'qwen2.5-vl-7b'] as readonly string[],
    nextStream: async () => {
      if (waiting.length === 0) {
        await withDeadline(new Promise<void>((resolve) => (wake = resolve)), 5000, 'a chat request at the gateway')
      }
      const stream = waiting.shift()
      if (stream === undefined) throw new Error('The gateway was woken without a stream')
      return stream
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
  const onStream = (stream: ScriptedStream): void => {
    if (gateway.isAutomatic) {
      answerAutomatically(stream).catch(() => undefined)
      return
    }
    waiting.push(stream)
    wake?.()
  }
  const server = createServer((request, response) => {
    handle(gateway, request, response, onStream).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  gateway.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return gateway
}

async function handle(
  gateway: ScriptedGateway,
  request: IncomingMessage,
  response: ServerResponse,
  onStream: (stream: ScriptedStream) => void,
): Promise<void> {
  response.setHeader('x-request-id', 'req_7f3a2b')
  if (gateway.allowsPage) {
    response.setHeader('access-control-allow-origin', request.headers.origin ?? '*')
    response.setHeader('access-control-expose-headers', 'x-request-id, retry-after, x-should-retry')
  }
  if (request.method === 'OPTIONS') {
    response.setHeader('access-control-allow-headers', 'authorization, content-type')
    response.writeHead(204).end()
    return
  }
  if (request.url === '/health') {
    response.writeHead(200).end('{"status":"ok"}')
    return
  }
  const body = await readText(request)
  if (request.headers.authorization !== `Bearer ${gateway.key}`) {
    refuse(response, { status: 401, code: 'invalid_api_key', message: 'The API key is not known here.' })
  } else if (request.method === 'GET' && request.url === '/v1/models') {
    const data = gateway.models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'hearth' }))
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ object: 'list', data }))
  } else if (request.method === 'POST' && request.url === '/v1/chat/completions') {
    const refusal = gateway.refusals.shift()
    if (refusal !== undefined) refuse(response, refusal)
    else onStream(createStream(JSON.parse(body) as ScriptedStream['body'], response))
  } else {
    refuse(response, { status: 404, code: 'not_found', message: 'There is no such route.' })
  }
}

function createStream(body: ScriptedStream['body'], response: ServerResponse): ScriptedStream {
  const { promise: left, resolve } = Promise.withResolvers<void>()
  response.once('close', () => {
    if (!response.writableFinished) resolve()
  })
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' })
  response.flushHeaders()
  let tokens = 0
  const frame = (choices: readonly unknown[], rest: object = {}): void => {
    const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1795235896, model: body.model }
    response.write(`data: ${JSON.stringify({ ...head, choices, ...rest })}\n\n`)
  }
  return {
    body,
    left,
    comment: (text) => void response.write(`: ${text}\n\n`),
    write: (content) => {
      tokens += 1
      frame([{ index: 0, delta: { content }, logprobs: null, finish_reason: null }])
    },
    finish: ({ reason = 'stop', usage = true } = {}) => {
      frame([{ index: 0, delta: { content: '' }, logprobs: null, finish_reason: reason }])
      if (usage) {
        frame([], { usage: { prompt_tokens: 20, total_tokens: 20 + tokens, completion_tokens: tokens } })
      }
      response.end('data: [DONE]\n\n')
    },
    fail: (code, message) => {
      const error = { message, type: 'server_error', param: null, code }
      response.end(`event: error\ndata: ${JSON.stringify({ error })}\n\ndata: [DONE]\n\n`)
    },
    cut: () => void response.destroy(),
  }
}

async function answerAutomatically(stream: ScriptedStream): Promise<void> {
  let isLeft = false
  void stream.left.then(() => {
    isLeft = true
  })
  for (const word of automaticAnswer) {
    if (isLeft) return
    stream.write(word)
    await pause(wordEveryMs)
  }
  stream.finish()
}

function refuse(response: ServerResponse, { status, code, message, headers }: Refusal): void {
  const error = { message, type: 'invalid_request_error', param: null, code }
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify({ error }))
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
