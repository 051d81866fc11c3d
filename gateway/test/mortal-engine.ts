/**
 * An engine that frames an answer as it is told and dies in the middle of it: by FIN, by RST, or for real. What it does
 * stands in the question itself, so that a new process of it needs to know nothing. As a process of its own:
 * `node gateway/test/mortal-engine.ts PORT` (0: a free one); it says its port to its parent and ends with it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { withDeadline } from './deadline.ts'
import { type Plan, type RawUpstream, type SeenRequest, startRawUpstream } from './raw-upstream.ts'

export const framings = ['HTTP/1.0', 'Connection: close', 'chunked', 'Content-Length'] as const
export const deaths = ['fin', 'rst', 'kill'] as const
/** Where an answer is cut: in the middle of an event or of the text, behind a whole event, or just before its end. */
export const places = ['within', 'between', 'last'] as const

/** What one question asks of the engine. */
export interface Task {
  readonly framing: (typeof framings)[number]
  readonly stream: boolean
  /** Undefined: the answer is whole. */
  readonly death: { readonly by: (typeof deaths)[number]; readonly at: (typeof places)[number] } | undefined
}

/** An engine that is started again, at the same port, whenever it has died. */
export interface MortalEngine extends AsyncDisposable {
  readonly url: string
  /** How often it was started, and listens or has listened. */
  lives(): number
}

const marker = 'task: '
const startMs = 10_000
/** Whether it is there is asked by its list of models. */
const models = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n{"object":"list","data":[]}',
)
/** Traefik 3.7.15 cuts one in sixty event streams that begin within a millisecond of their question. */
const thinkMs = 5

/** The text of a question. */
export function questionOf(task: Task): string {
  return marker + JSON.stringify(task)
}

/** The body of a whole answer. */
export function answerOf(stream: boolean): string {
  const id = { id: 'chatcmpl-1', created: 1_700_000_000, model: 'qwen2.5-vl-tiny' }
  const message = { role: 'assistant', content: `Words of an answer, ${'é漢😀 '.repeat(40)}and its end.` }
  const plain = { ...id, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }] }
  if (!stream) return JSON.stringify(plain)
  const chunk = (delta: object, finish: string | null) =>
    `data: ${JSON.stringify({ ...id, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
  const words = message.content.split(' ').map((word) => chunk({ content: `${word} ` }, null))
  return `${chunk({ role: 'assistant', content: '' }, null)}${words.join('')}${chunk({}, 'stop')}data: [DONE]\n\n`
}

/** Starts the engine as a child; whoever starts it disposes of it. */
export async function spawnMortalEngine(): Promise<MortalEngine> {
  let wanted = true
  let lives = 0
  const bear = (port: number): ChildProcess => {
    const child = fork(fileURLToPath(import.meta.url), [String(port)])
    child.once('message', () => {
      lives += 1
    })
    return child
  }
  let child = bear(0)
  const [port] = (await withDeadline(once(child, 'message'), startMs, 'the mortal engine listens')) as [number]
  const onExit = () => {
    if (!wanted) return
    child = bear(port)
    child.once('exit', onExit)
  }
  child.once('exit', onExit)
  return {
    url: `http://127.0.0.1:${port}`,
    lives: () => lives,
    [Symbol.asyncDispose]: async () => {
      wanted = false
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}

/** The same engine in this process; it may not be asked to be killed. */
export function startMortalEngine(port = 0): Promise<RawUpstream> {
  return startRawUpstream(plan, port)
}

function plan({ head, body }: SeenRequest): Plan | undefined {
  if (head.startsWith('GET ')) return { mark: 'models', writes: [models], ending: 'keep' }
  const [, json] = /task: (\{.*?\}+)"/.exec(body.replaceAll('\\"', '"')) ?? []
  if (json === undefined) return undefined
  const task = JSON.parse(json) as Task
  const bytes = Buffer.from(answerOf(task.stream))
  const { death } = task
  const kept = death === undefined ? bytes : bytes.subarray(0, cutPlace(bytes, task.stream, death.at))
  const writes = [Buffer.alloc(0), Buffer.from(headOf(task, bytes.length)), ...framed(kept, task)]
  const closes = task.framing === 'HTTP/1.0' || task.framing === 'Connection: close'
  const ending = death === undefined ? (closes ? 'fin' : 'keep') : death.by === 'kill' ? 'die' : death.by
  return { mark: 'mortal', writes, pauseMs: thinkMs, ending }
}

function cutPlace(bytes: Buffer, stream: boolean, at: (typeof places)[number]): number {
  if (at === 'last') return stream ? bytes.lastIndexOf('data: [DONE]') : bytes.length - 1
  const half = bytes.length >> 1
  return stream && at === 'between' ? bytes.indexOf('\n\n', half) + 2 : half
}

function headOf({ framing, stream }: Task, length: number): string {
  const version = framing === 'HTTP/1.0' ? '1.0' : '1.1'
  const type = stream ? 'text/event-stream; charset=utf-8' : 'application/json'
  const lines: Record<Task['framing'], string> = {
    'HTTP/1.0': '',
    'Connection: close': 'connection: close\r\n',
    chunked: 'transfer-encoding: chunked\r\n',
    'Content-Length': `content-length: ${length}\r\n`,
  }
  return `HTTP/${version} 200 OK\r\ncontent-type: ${type}\r\n${lines[framing]}\r\n`
}

/** Two writes, so that a part of it has left before its end. */
function framed(bytes: Buffer, { framing, death }: Task): Buffer[] {
  const half = bytes.length >> 1
  const parts = [bytes.subarray(0, half), bytes.subarray(half)]
  if (framing !== 'chunked') return parts
  const chunks = parts.map((part) =>
    Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')]),
  )
  return death === undefined ? [...chunks, Buffer.from('0\r\n\r\n')] : chunks
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const engine = await startMortalEngine(Number(process.argv[2] ?? 0))
  process.on('disconnect', () => process.exit())
  process.send?.(engine.port)
}
