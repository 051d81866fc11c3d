import { nonceIn } from './origin-recorder.ts'
import { type Chance, chanceFrom } from './seeded.ts'

/** One request of a case. */
export interface Part {
  readonly nonce: string
  /** What an engine must be given if this is accepted; undefined: it must never be. */
  readonly meant: object | undefined
}

/** Bytes for one connection. */
export interface Step {
  readonly bytes: Buffer
  /** Go on only once so many answers have come, or the connection has ended. */
  readonly answers: number
}

/** What one caller sends on one connection, which ends by a harmless request that asks to close it. */
export interface Case {
  readonly id: number
  readonly kind: string
  readonly steps: readonly Step[]
  readonly parts: readonly Part[]
  /** So many parts from the first are beyond doubt and must be accepted. */
  readonly must: number
}

/** Who sends it. */
export interface Sender {
  readonly key: string
  readonly model: string
}

type Must = 'must' | 'may' | 'never'

interface Draft {
  readonly kind: string
  readonly bytes: Buffer
  readonly must: Must
  readonly parts: readonly Part[]
}

/** The case of that number: the same for the same seed, whoever sends it, as long as names and keys are of one length. */
export function makeCase(seed: number, id: number, sender: Sender): Case {
  const maker = new Maker(id, sender, chanceFrom(seed ^ Math.imul(id, 0x9e3779b1)))
  return maker.make()
}

/** The number of the case that a request belongs to, as its nonce says. */
export function caseIdOf(nonce: string | undefined): number | undefined {
  return nonce === undefined ? undefined : Number(nonce.split('-')[1])
}

/** Headers that say nothing about the length of a body, and some that would like to. */
const harmlessLines = [
  'X-Forwarded-For: 10.0.0.1, 127.0.0.1',
  'X-Forwarded-Host: engine.test',
  'Connection: keep-alive, content-length, x-request-id',
  'Keep-Alive: timeout=5',
  'TE: trailers',
  'X-Content-Length: 3',
  'X-Transfer-Encoding: chunked',
  'Trailer-Of-Nothing:',
  'Accept-Encoding: gzip, br',
  'Cookie: a=b; c="GET /metrics HTTP/1.1"',
  'X-Http-Method-Override: GET',
  'Content-Location-Of: /metrics',
  'X-Padded:     spaces and\ttabs   ',
]

/** Lines that two readers take for two framings, as a function of the length of the whole rest. */
const oddFramings: readonly ((length: number) => string)[] = [
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding: chunked`,
  (n) => `Transfer-Encoding: chunked\r\nContent-Length: ${n}`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding: Chunked`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding : chunked`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding:\tchunked`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding: xchunked`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding:\r\n chunked`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding: \x0bchunked`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding: chunked\x00`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding: "chunked"`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding: 'chunked'`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding: identity, chunked`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding: chunked, identity`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding: identity`,
  (n) => `Content-Length: ${n}\r\nTransfer-Encoding:`,
  (n) => `Content-Length: ${n}\r\nTransfer_Encoding: chunked`,
  (n) => `Content-Length: ${n}\r\nX-A: b\nTransfer-Encoding: chunked`,
  (n) => `Content-Length: ${n}\r\nX-A: b\rTransfer-Encoding: chunked`,
  (n) => `Content-Length: ${n}\r\nX-A: b\r\n Transfer-Encoding: chunked`,
  (n) => `Content-Length: ${n}\r\nX\x00A: b\r\nTransfer-Encoding: chunked`,
  () => 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
  () => 'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked',
  () => 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
  () => 'Transfer-Encoding: gzip, chunked',
  () => 'Transfer-Encoding: chunked, chunked',
  () => 'Transfer-Encoding: chunked;q=1',
  () => 'Transfer-Encoding: ,chunked',
  (n) => `Content-Length: 0\r\nContent-Length: ${n}`,
  (n) => `Content-Length: ${n}\r\nContent-Length: 0`,
  (n) => `Content-Length: ${n}, 0`,
  (n) => `Content-Length: ${n}, ${n}`,
  (n) => `Content-Length: +${n}`,
  (n) => `Content-Length: -${n}`,
  (n) => `Content-Length: 0x${n.toString(16)}`,
  (n) => `Content-Length: ${n} 0`,
  (n) => `Content-Length: ${n};`,
  (n) => `Content-Length: ${n}.0`,
  (n) => `Content-Length: ${n}_0`,
  (n) => `Content-Length: 1${'0'.repeat(18)}${n}`,
  (n) => `Content-Length: ${2n ** 64n + BigInt(n)}`,
  (n) => `Content-Length : ${n}`,
  (n) => `Content-Length\t: ${n}`,
  (n) => `Content_Length: ${n}`,
  (n) => `Content-Length:\r\n ${n}`,
  (n) => `X-A: b\nContent-Length: ${n}`,
  (n) => `\r\nContent-Length: ${n}`,
  (n) => ` Content-Length: ${n}`,
]

/** How a chunk of that data may be written wrongly. */
const oddChunks: readonly ((size: string, data: string) => string)[] = [
  (size, data) => `${size} \r\n${data}\r\n`,
  (size, data) => ` ${size}\r\n${data}\r\n`,
  (size, data) => `+${size}\r\n${data}\r\n`,
  (size, data) => `0x${size}\r\n${data}\r\n`,
  (size, data) => `-${size}\r\n${data}\r\n`,
  (size, data) => `${size}g\r\n${data}\r\n`,
  (size, data) => `1${'0'.repeat(16 - size.length)}${size}\r\n${data}\r\n`,
  (size, data) => `${size}\n${data}\r\n`,
  (size, data) => `${size}\r${data}\r\n`,
  (size, data) => `${size}\r\n${data}\n`,
  (size, data) => `${size}\r\n${data}`,
  (size, data) => `${size};a=\nb\r\n${data}\r\n`,
  (size, data) => `${size};a="\r\n${data}"\r\n`,
  (size, data) => `${size};\x00\r\n${data}\r\n`,
  (size, data) => `${size}\r\n${data}XX\r\n`,
  (size, data) => `${size}\r\n\r\n${data}\r\n`,
]

/** Chunk extensions that mean nothing and are none of anybody's business. */
const extensions = [';a', ';a=b', ';a="b;c"', `;pad=${'x'.repeat(300)}`]

/** First lines, all but one of which name nothing that is served. */
const oddLines = [
  'POST //v1/chat/completions HTTP/1.1',
  'POST /v1/chat/completions/ HTTP/1.1',
  'POST /v1/../v1/chat/completions HTTP/1.1',
  'POST /v1/chat%2fcompletions HTTP/1.1',
  'POST http://engine.test/v1/chat/completions HTTP/1.1',
  'POST /v1/chat/completions HTTP/1.0',
  'POST /v1/chat/completions HTTP/1.2',
  'POST /v1/chat/completions HTTP/2.0',
  'POST /v1/chat/completions http/1.1',
  'POST /v1/chat/completions  HTTP/1.1',
  'POST\t/v1/chat/completions\tHTTP/1.1',
  'POST /v1/chat/completions',
  'GET /v1/chat/completions HTTP/1.1',
  'PUT /v1/chat/completions HTTP/1.1',
  'CONNECT 127.0.0.1:80 HTTP/1.1',
]

const marks = '\r\n\t :;,"\0\x0b\x7f-_09aAcC'

/** One case being made; every choice comes from its own numbers. */
class Maker {
  readonly #id: number
  readonly #sender: Sender
  readonly #chance: Chance
  #parts = 0

  constructor(id: number, sender: Sender, chance: Chance) {
    this.#id = id
    this.#sender = sender
    this.#chance = chance
  }

  make(): Case {
    const drafts = [this.#draft()]
    // Every second case is a pair or more on one connection; what nobody can be sure of comes at any place.
    while (this.#chance.happens(0.5) && drafts.length < 4) drafts.push(this.#draft())
    const unsure = drafts.findIndex(({ must }) => must !== 'must')
    const sure = unsure < 0 ? drafts.length : unsure
    const waits = this.#chance.happens(unsure < 0 ? 0.3 : 0.6)
    return {
      id: this.#id,
      kind: drafts.map(({ kind }) => kind).join(' + '),
      parts: drafts.flatMap(({ parts }) => parts),
      // What breaks the connection may take the answers with it that are still owed.
      must: unsure < 0 || waits ? sure : 0,
      steps: this.#cut(drafts, waits ? sure : 0),
    }
  }

  #draft(): Draft {
    const die = this.#chance.next()
    if (die < 0.4) return this.#honest()
    if (die < 0.6) return this.#oddFraming()
    if (die < 0.7) return this.#oddChunk()
    if (die < 0.8) return this.#mutated()
    if (die < 0.85) return this.#extended()
    if (die < 0.9) return this.#oddLine()
    if (die < 0.95) return this.#withTail()
    return this.#bareLineEnds()
  }

  /** A request beyond doubt, by a length or in chunks. */
  #honest(): Draft {
    const { body, part } = this.#body()
    const extra = this.#some(harmlessLines)
    if (this.#chance.happens(0.5))
      return { kind: 'length', bytes: this.#byLength(body, extra), must: 'must', parts: [part] }
    const bytes = this.#request([...extra, 'Transfer-Encoding: chunked'], this.#chunks(body))
    return { kind: 'chunks', bytes, must: 'must', parts: [part] }
  }

  /** Two framings: by one of them, the second request is part of the first one's body. */
  #oddFraming(): Draft {
    const lines = this.#chance.pick(oddFramings)
    const outer = this.#body()
    const inner = this.#body()
    const smuggled = this.#byLength(inner.body, [])
    const rest = this.#chance.happens(0.5)
      ? Buffer.concat([Buffer.from('0\r\n\r\n'), smuggled])
      : Buffer.concat([this.#chunks(outer.body), smuggled])
    const covered = this.#chance.happens(0.7) ? rest.length : rest.indexOf('\r\n') + 2
    const parts = [outer.part, inner.part].map(({ nonce }) => ({ nonce, meant: undefined }))
    return { kind: 'odd framing', bytes: this.#request([lines(covered)], rest), must: 'never', parts }
  }

  /** One chunk is not written as it must be; lenient readers see other data, or another end. */
  #oddChunk(): Draft {
    const { body, part } = this.#body()
    const inner = this.#body()
    const chunk = this.#chance.pick(oddChunks)
    const half = Math.floor(body.length / 2)
    const text = body.toString('latin1')
    const first = chunk(half.toString(16), text.slice(0, half))
    const rest = `${first}${(body.length - half).toString(16)}\r\n${text.slice(half)}\r\n0\r\n\r\n`
    const smuggled = this.#byLength(inner.body, [])
    const bytes = this.#request(
      ['Transfer-Encoding: chunked'],
      Buffer.concat([Buffer.from(rest, 'latin1'), ...(this.#chance.happens(0.5) ? [smuggled] : [])]),
    )
    const parts = [part, inner.part].map(({ nonce }) => ({ nonce, meant: undefined }))
    return { kind: 'odd chunk', bytes, must: 'never', parts }
  }

  /** One to three bytes of a head changed, put in or taken out; what is accepted must mean what it did. */
  #mutated(): Draft {
    const { body, part } = this.#body()
    const chunked = this.#chance.happens(0.5)
    const whole = chunked
      ? this.#request(['Transfer-Encoding: chunked'], this.#chunks(body))
      : this.#byLength(body, this.#some(harmlessLines))
    let bytes = whole.toString('latin1')
    for (let left = 1 + this.#chance.below(3); left > 0; left -= 1) {
      const at = this.#chance.below(bytes.indexOf('\r\n\r\n') + 4)
      const mark = this.#chance.happens(0.3) ? '' : (marks[this.#chance.below(marks.length)] ?? '')
      bytes = bytes.slice(0, at) + mark + bytes.slice(at + this.#chance.below(2))
    }
    return { kind: 'mutated head', bytes: Buffer.from(bytes, 'latin1'), must: 'may', parts: [part] }
  }

  /** Chunk extensions, leading zeros, an expectation: allowed to be refused, but not to be misread. */
  #extended(): Draft {
    const { body, part } = this.#body()
    const lines = ['Transfer-Encoding: chunked', ...(this.#chance.happens(0.3) ? ['Expect: 100-continue'] : [])]
    const bytes = this.#request(lines, this.#chunks(body, this.#chance.pick(extensions)))
    const led = this.#chance.happens(0.2)
      ? Buffer.concat([Buffer.from('\r\n'.repeat(1 + this.#chance.below(3))), bytes])
      : bytes
    return { kind: 'extended', bytes: led, must: 'may', parts: [part] }
  }

  #oddLine(): Draft {
    const { body, part } = this.#body()
    const bytes = this.#byLength(body, [], this.#chance.pick(oddLines))
    return { kind: 'odd line', bytes, must: 'may', parts: [part] }
  }

  /** After the JSON, inside the body or after its end, comes a whole second request, or half of one. */
  #withTail(): Draft {
    const outer = this.#body()
    const inner = this.#body()
    const smuggled = this.#byLength(inner.body, [])
    const never = [outer.part, inner.part].map(({ nonce }) => ({ nonce, meant: undefined }))
    const die = this.#chance.next()
    if (die < 0.4) {
      const bytes = this.#byLength(Buffer.concat([outer.body, smuggled]), [])
      return { kind: 'request in body', bytes, must: 'never', parts: never }
    }
    if (die < 0.7) {
      const trailers = Buffer.from('0\r\nContent-Length: 3\r\nX-Engine: 1\r\n\r\n')
      const chunks = this.#chunks(outer.body).subarray(0, -5)
      const bytes = this.#request(['Transfer-Encoding: chunked'], Buffer.concat([chunks, trailers]))
      return { kind: 'trailers', bytes, must: 'never', parts: never.slice(0, 1) }
    }
    const bytes = this.#byLength(Buffer.alloc(0), [])
    const parts = [{ nonce: outer.part.nonce, meant: undefined }, inner.part]
    return { kind: 'empty body', bytes: Buffer.concat([bytes, smuggled]), must: 'may', parts }
  }

  #bareLineEnds(): Draft {
    const { body, part } = this.#body()
    const whole = this.#byLength(body, this.#some(harmlessLines)).toString('latin1')
    const end = whole.indexOf('\r\n\r\n') + 4
    const bare = whole.slice(0, end).replaceAll('\r\n', this.#chance.happens(0.5) ? '\n' : '\r')
    const parts = [{ nonce: part.nonce, meant: undefined }]
    return { kind: 'bare line ends', bytes: Buffer.from(bare + whole.slice(end), 'latin1'), must: 'never', parts }
  }

  /** A chat request as text, with its nonce in it, and often with what looks like HTTP. */
  #body(): { readonly body: Buffer; readonly part: Part } {
    const nonce = `case-${this.#id}-${this.#parts++}`
    const texts = [
      'Say something.',
      '0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: engine.test\r\n\r\n',
      'POST /v1/completions HTTP/1.1\r\nContent-Length: 9999\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'ü€😀 \u0000\u2028',
      'QUJD'.repeat(this.#chance.below(6000)),
    ]
    const meant = {
      messages: [{ role: 'user', content: `${nonce} ${this.#chance.pick(texts)}` }],
      ...(this.#chance.happens(0.5) ? { temperature: this.#chance.below(20) / 10 } : {}),
      ...(this.#chance.happens(0.3) ? { seed: 0 } : {}),
      ...(this.#chance.happens(0.3) ? { stop: ['\r\n\r\n', '0\r\n'] } : {}),
    }
    const sent = { ...meant, ...(this.#chance.happens(0.3) ? { x_note: 'dropped' } : {}), model: this.#sender.model }
    return { body: Buffer.from(this.#spell(JSON.stringify(sent))), part: { nonce, meant } }
  }

  /** The same JSON in other bytes: line ends between the tokens make the body look like chunks or like heads. */
  #spell(json: string): string {
    const die = this.#chance.next()
    if (die < 0.5) return json
    if (die < 0.6) return `\r\n\r\n${json}\r\n\r\n`
    if (die < 0.7) return json.replace('"seed":0', '"seed":\r\n0\r\n\r\n')
    if (die < 0.8) return JSON.stringify(JSON.parse(json), undefined, '\t').replaceAll('\n', '\r\n')
    if (die < 0.9) return `{\r\n \r\n\r\n${json.slice(1)}`
    return json.replaceAll('user', '\\u0075ser')
  }

  #byLength(body: Buffer, extra: readonly string[], line?: string): Buffer {
    return this.#request([...extra, `Content-Length: ${body.length}`], body, line)
  }

  #request(lines: readonly string[], body: Buffer, line = 'POST /v1/chat/completions HTTP/1.1'): Buffer {
    const own = [line, 'Host: engine.test', `Authorization: Bearer ${this.#sender.key}`]
    const all = [...own, 'Content-Type: application/json', ...lines]
    const cased = this.#chance.happens(0.2) ? all.map((text, at) => (at === 0 ? text : lowerName(text))) : all
    return Buffer.concat([Buffer.from(`${cased.join('\r\n')}\r\n\r\n`, 'latin1'), body])
  }

  #chunks(body: Buffer, extension = ''): Buffer {
    const pieces: Buffer[] = []
    const sizeMax = this.#chance.pick([1, 7, 64, 4096, 65_536])
    for (let at = 0; at < body.length; ) {
      const piece = body.subarray(at, at + 1 + this.#chance.below(pieces.length > 200 ? 65_536 : sizeMax))
      const size = piece.length.toString(16)
      const spelled = this.#chance.happens(0.2) ? size.toUpperCase() : size
      pieces.push(Buffer.from(`${spelled}${extension}\r\n`), piece, Buffer.from('\r\n'))
      at += piece.length
    }
    return Buffer.concat([...pieces, Buffer.from('0\r\n\r\n')])
  }

  /** How the drafts go out: the first ones each when the one before is answered, the rest at once or cut anywhere. */
  #cut(drafts: readonly Draft[], waited: number): Step[] {
    const end = Buffer.from(
      `GET /health HTTP/1.1\r\nHost: engine.test\r\nX-Case: case-${this.#id}-999\r\nConnection: close\r\n\r\n`,
    )
    const first = drafts.slice(0, waited).map(({ bytes }, at) => ({ bytes, answers: at + 1 }))
    const rest = Buffer.concat([...drafts.slice(waited).map(({ bytes }) => bytes), end])
    const count = this.#chance.happens(0.5) ? 0 : 1 + this.#chance.below(12)
    const cuts = Array.from({ length: count }, () => this.#chance.below(rest.length))
    const edges = [0, ...cuts.sort((one, other) => one - other), rest.length]
    return [...first, ...edges.slice(1).map((edge, at) => ({ bytes: rest.subarray(edges[at], edge), answers: 0 }))]
  }

  #some<T>(values: readonly T[]): T[] {
    return values.filter(() => this.#chance.happens(0.15))
  }
}

/** The text of a header with its name in small letters; a line that holds more than one header stays as it is. */
function lowerName(line: string): string {
  return /[\r\n]/.test(line) ? line : line.replace(/^[^:]+/, (name) => name.toLowerCase())
}

/** The nonce of a request as an origin saw it: in its body, else in a header. */
export function nonceOf(request: { readonly body: Buffer; readonly headers: readonly (readonly [string, string])[] }) {
  return nonceIn(request.body.toString('latin1')) ?? nonceIn(request.headers.map(([, value]) => value).join('\n'))
}
