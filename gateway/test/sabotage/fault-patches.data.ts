import type { Patch } from './patches.data.ts'

const lifecycle = 'gateway/src/edge/lifecycle.ts'
const relay = 'gateway/src/upstream/relay.ts'
const tunnels = 'gateway/src/upstream/tunnels.ts'
const relayAbort = 'gateway/src/upstream/relay-abort.test.ts'
const tunnelsTest = 'gateway/src/upstream/tunnels.test.ts'
const requestsTest = 'gateway/src/edge/lifecycle-requests.test.ts'

/** What is taken away from the care for callers who leave, drains, tries again, and the pool of connections. */
export const faultPatches: readonly Patch[] = [
  {
    name: 'a caller who left is worked for to the end',
    row: 'R37',
    file: lifecycle,
    was: "if (!outgoing.writableFinished) request.abort.abort(new HearthError('client_gone'))",
    text: '',
    seenBy: { file: requestsTest, test: 'a caller who leaves ends its request' },
  },
  {
    name: 'the engine works on for a caller who left its answer',
    row: 'R37',
    file: relay,
    was: '    this.#controller?.abort(error)\n    const { response, heartbeat }',
    text: '    const { response, heartbeat }',
    seenBy: { file: relayAbort, test: 'is ended at the engine, whatever had come of the answer' },
  },
  {
    name: 'an abort before the request is sent is forgotten',
    row: 'R37',
    file: relay,
    was: 'if (this.#ended) controller.abort(toHearthError(this.#options.signal.reason))',
    text: 'if (this.#ended) return',
    seenBy: {
      file: relayAbort,
      test: 'is ended as soon as it can be, where the caller left before its request was sent',
    },
  },
  {
    name: 'a caller who left keeps its place in the line',
    row: 'R37',
    file: 'gateway/src/admission.ts',
    was: "signal.addEventListener('abort', onAbort)",
    text: '',
    seenBy: {
      file: 'gateway/src/admission.test.ts',
      test: 'a caller who leaves the line gets the reason of its signal',
    },
  },
  {
    name: 'a dial goes on for a caller who left',
    row: 'R37',
    file: tunnels,
    was: "if (signal.aborted) return void socket.on('error', () => {}).destroy()",
    text: 'if (signal.aborted) return void socket.pause()',
    seenBy: { file: tunnelsTest, test: 'a caller that leaves before its connection is open ends the dial' },
  },
  {
    name: 'a caller who ended its side is waited for while it does not read',
    row: 'R37',
    file: 'gateway/src/edge/front-door.ts',
    was: 'if (socket.writableEnded && [...answers].some(({ writableEnded }) => !writableEnded)) socket.destroy()',
    text: 'void [socket, answers]',
    seenBy: { file: 'gateway/src/edge/front-door.test.ts', test: 'a caller who ends its side while an answer waits' },
  },
  {
    name: 'a place at the engine is never given back',
    row: 'R37',
    file: 'gateway/src/routes/inference.ts',
    was: 'lease.release()',
    text: '',
    seenBy: { file: 'gateway/test/places.wire.test.ts', test: 'comes back after every kind of end' },
  },
  {
    name: 'an engine that goes on after the end of its stream keeps its connection',
    row: 'R36',
    file: relay,
    was: 'this.#tail = setTimeout(() => controller?.abort(late), tailMs).unref()',
    text: 'void [late, tailMs]',
    seenBy: {
      file: 'gateway/src/upstream/relay.test.ts',
      test: 'ends the connection of an engine that goes on after its last event',
    },
  },
  {
    name: 'a drain ends nothing',
    row: 'R38',
    file: lifecycle,
    was: "for (const abort of this.#open) abort.abort(new HearthError('draining'))",
    text: '',
    seenBy: { file: requestsTest, test: 'a drain that is over its deadline ends every request with the reason' },
  },
  {
    name: 'a drain cuts streams without a word',
    row: 'R38',
    file: relay,
    was: "if (isStream && error.code !== 'client_gone') response.end(errorEvent(error))",
    text: 'if (isStream && response.closed) response.end(errorEvent(error))',
    seenBy: { file: relayAbort, test: 'tells the reason in the stream, and ends it at the engine' },
  },
  {
    name: 'a drain lets new work in',
    row: 'R38',
    file: lifecycle,
    was: 'if (inFlight.draining) {',
    text: 'if (inFlight.size < 0) {',
    seenBy: { file: requestsTest, test: 'while the process drains new work is refused' },
  },
  {
    name: 'a request that was sent is sent again',
    row: 'R39',
    file: tunnels,
    was: 'if (!this.#started) return this.#again(error)',
    text: 'if (error.message !== undefined) return this.#again(error)',
    seenBy: { file: tunnelsTest, test: 'a request that was sent is never sent again' },
  },
  {
    name: 'a request is sent again over new connections as long as they end',
    row: 'R39',
    file: tunnels,
    was: 'if (tries > 0 || this.#destroyed)',
    text: 'if (this.#destroyed)',
    seenBy: { file: tunnelsTest, test: 'a connection on which bytes wait ends its request after one dial' },
  },
  {
    name: 'a kept connection that was gone costs its request',
    row: 'R39',
    file: tunnels,
    was: 'if (tries > 0 || this.#destroyed)',
    text: 'if (tries >= 0)',
    seenBy: { file: tunnelsTest, test: 'a kept connection that broke before a byte went out is replaced' },
  },
  {
    name: 'a connection is used at an age at which the engine closes',
    row: 'R40',
    file: tunnels,
    was: 'if (this.#idleLimit.allows(now - idleSince, now)) return kept',
    text: 'if (idleSince <= now) return kept',
    seenBy: { file: tunnelsTest, test: 'a connection that is as old as one that the engine closed carries no other' },
  },
  {
    name: 'a used connection is given to two',
    row: 'R03',
    file: tunnels,
    was: 'for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {',
    text: 'for (let kept = this.#idle.at(-1); kept !== undefined; kept = this.#idle.pop()) {',
    seenBy: { file: tunnelsTest, test: 'a connection is used again by the next request, and by one at a time' },
  },
]
