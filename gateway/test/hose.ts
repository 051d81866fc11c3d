/** An engine in a process of its own whose every answer is a stream without end, as fast as it is taken. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { withDeadline } from './deadline.ts'

const startMs = 10_000

export interface Hose extends AsyncDisposable {
  readonly url: string
  /** Of each answer so far: its bytes that were taken, and whether its connection is still there. */
  answers(): Promise<readonly { readonly bytes: number; readonly open: boolean }[]>
}

/** Starts one; whoever starts it disposes of it. */
export async function startHose(): Promise<Hose> {
  const child = fork(fileURLToPath(import.meta.url), [], { stdio: 'inherit' })
  const end = () => void child.kill('SIGKILL')
  process.once('exit', end)
  const [port] = await withDeadline(once(child, 'message'), startMs, 'the hose listens')
  return {
    url: `http://127.0.0.1:${port}`,
    answers: async () => {
      const told = once(child, 'message')
      child.send('answers')
      const [answers] = await withDeadline(told, startMs, 'the hose tells')
      return answers as readonly { bytes: number; open: boolean }[]
    },
    [Symbol.asyncDispose]: async () => {
      process.off('exit', end)
      const exited = once(child, 'exit')
      end()
      await exited
    },
  }
}

const eventBytes = 16 * 1024
const event = `data: {"choices":[{"index":0,"delta":{"content":"${'w'.repeat(eventBytes)}"}}]}\n\n`
const chunk = Buffer.from(`${event.length.toString(16)}\r\n${event}\r\n`)
const answerHead =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n'

function pour(socket: Socket): { bytes: number; open: boolean } {
  const answer = { bytes: 0, open: true }
  const more = () => {
    // One at a time, so that many answers run side by side.
    answer.bytes += chunk.length
    socket.write(chunk, (error) => void (error == null && setImmediate(more)))
  }
  socket.once('data', () => {
    socket.write(answerHead)
    more()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    answer.open = false
  })
  return answer
}

if (import.meta.main) {
  const answers: { bytes: number; open: boolean }[] = []
  const server = createServer((socket) => void answers.push(pour(socket)))
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
  process.on('message', () => process.send?.(answers))
  process.on('disconnect', () => process.exit(0))
}
