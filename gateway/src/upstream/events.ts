import { fromErrorEvent } from './engine-error.ts'
import type { Shaper } from './shaper.ts'
import { SseCutter } from './sse.ts'

export interface EventsOptions {
  readonly shaper: Shaper
  /** Whether comments of the engine pass; who gets none of ours gets none at all. */
  readonly passQuiet: boolean
  /** A last comment, written just before the terminal event; nothing where it is empty. */
  readonly lastComment: () => string
}

const nothing = Buffer.alloc(0)

/** Where a stream stands; an error when it cannot go on. */
export type StreamEnd = 'open' | 'whole' | { readonly error: unknown }

/**
 * The way of one stream: cuts it into events and shows them to the shaper. What comes out are whole events, and those of
 * one chunk that nobody changed leave as one view of it.
 */
export class EventPath {
  readonly #options: EventsOptions
  readonly #cutter = new SseCutter()
  readonly #out: Buffer[] = []
  #bytes: Buffer = Buffer.alloc(0)
  /** Begin of the events of `#bytes` that pass as they are. */
  #from = 0
  #end: StreamEnd = 'open'

  constructor(options: EventsOptions) {
    this.#options = options
  }

  get end(): StreamEnd {
    return this.#end
  }

  /** What may go to the caller now. Never throws: `end` says whether that was the last, and why. */
  feed(chunk: Buffer): Buffer {
    try {
      this.#bytes = this.#cutter.add(chunk)
      this.#from = 0
      this.#walk()
    } catch (error) {
      this.#end = { error }
    }
    this.#pass(this.#cutter.start)
    this.#bytes = nothing
    return this.#gather()
  }

  #walk(): void {
    const { shaper, passQuiet } = this.#options
    for (let kind = this.#cutter.next(); kind !== undefined; kind = this.#cutter.next()) {
      if (kind === 'done') return this.#finish()
      if (kind === 'error') throw fromErrorEvent(this.#event(), shaper.names)
      if (kind === 'quiet' && passQuiet) continue
      const event = this.#event()
      const shaped = kind === 'quiet' ? nothing : shaper.event(event)
      if (shaped !== event) this.#replace(shaped)
    }
  }

  #event(): Buffer {
    const { start, end } = this.#cutter
    return this.#bytes.subarray(start, end)
  }

  /** The stream is whole if the shaper says so: what it held back, our comment and the terminal event leave together. */
  #finish(): void {
    this.#replace(this.#options.shaper.endOfEvents())
    const comment = this.#options.lastComment()
    if (comment !== '') this.#out.push(Buffer.from(`: ${comment}\n\n`))
    this.#out.push(this.#event())
    this.#end = 'whole'
  }

  /** Something else leaves in the place of the event. */
  #replace(shaped: Buffer): void {
    this.#pass(this.#cutter.start)
    if (shaped.length > 0) this.#out.push(shaped)
    this.#from = this.#cutter.end
  }

  /** The events up to `to` leave as they are. */
  #pass(to: number): void {
    if (to <= this.#from) return
    const isAll = this.#from === 0 && to === this.#bytes.length
    this.#out.push(isAll ? this.#bytes : this.#bytes.subarray(this.#from, to))
    this.#from = to
  }

  #gather(): Buffer {
    const [first = nothing] = this.#out
    const all = this.#out.length > 1 ? Buffer.concat(this.#out) : first
    this.#out.length = 0
    return all
  }
}
