import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'

const channel = 'net.client.socket'
const loopback = /^(::ffff:)?127\.|^::1$/

/** Writes down every address outside of loopback that this process connects to, until it is disposed of. */
export function watchContacts(): Disposable & { readonly addresses: ReadonlySet<string> } {
  const addresses = new Set<string>()
  const onSocket = (message: unknown): void => {
    const socket = typeof message === 'object' && message !== null ? Reflect.get(message, 'socket') : undefined
    if (!(socket instanceof Socket)) return
    socket.once('connectionAttempt', (address: string) => {
      if (!loopback.test(address)) addresses.add(address)
    })
    socket.once('lookup', (_error, _address, _family, host: string) => {
      if (host !== 'localhost') addresses.add(host)
    })
  }
  subscribe(channel, onSocket)
  return { addresses, [Symbol.dispose]: () => void unsubscribe(channel, onSocket) }
}
