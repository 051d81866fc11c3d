import { createServer, type Socket } from 'node:net'
import { parentPort } from 'node:worker_threads'

/**
 * The far end of a measured road, run as a worker so that it has a thread of its own. A connection says first what it
 * wants: `P` sends back whatever comes, `U` reads N bytes and then says "k", `D` sends N bytes (N: 8 bytes, big endian).
 */
export const headBytes = 9

/** The head of a connection to the far end. */
export function headOf(op: 'P' | 'U' | 'D', bytes = 0): Buffer {
  const head = Buffer.alloc(headBytes)
  head.write(op, 'latin1')
  head.writeBigUInt64BE(BigInt(bytes), 1)
  return head
}

const piece = Buffer.alloc(256 * 1024, 0x5a)

function serve(socket: Socket): void {
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  socket.once('readable', () => {
    const head: unknown = socket.read(headBytes)
    if (!Buffer.isBuffer(head)) return void socket.destroy()
    const bytes = Number(head.readBigUInt64BE(1))
    const op = head.toString('latin1', 0, 1)
    if (op === 'P') socket.pipe(socket)
    else if (op === 'U') sink(socket, bytes)
    else send(socket, bytes)
  })
}

function sink(socket: Socket, bytes: number): void {
  let left = bytes
  socket.on('data', (chunk) => {
    left -= chunk.length
    if (left === 0) socket.end('k')
  })
}

function send(socket: Socket, bytes: number): void {
  let left = bytes
  const more = () => {
    while (left > 0) {
      const part = piece.subarray(0, Math.min(left, piece.length))
      left -= part.length
      if (!socket.write(part)) return void socket.once('drain', more)
    }
    socket.end()
  }
  more()
}

if (parentPort !== null) {
  const port = parentPort
  const server = createServer(serve)
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    port.postMessage(typeof address === 'object' ? address?.port : undefined)
  })
}
