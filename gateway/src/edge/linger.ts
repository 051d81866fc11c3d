import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** How long a caller that was refused may take to read why, before its connection is cut. */
export const lingerMs = 1_000

/**
 * Makes Node close the socket in two steps while `isSending` says that its caller is still at it: our side ends, what
 * still comes is thrown away unread, and after {@link lingerMs} the rest is cut. Closed at once, the bytes on their way would be
 * answered with a reset, which throws away our answer at the caller before it is read.
 */
export function lingerOnClose(socket: Socket, isSending: () => boolean): void {
  const closeNow = socket.destroySoon.bind(socket)
  // What Node's HTTP server calls once the last answer of a connection is written.
  socket.destroySoon = () => {
    if (!isSending()) return closeNow()
    socket.end()
    cutLater(socket)
  }
}

/** Cuts the socket when the time to read the last words is over. */
export function cutLater(socket: Duplex): void {
  const cut = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(cut))
}
