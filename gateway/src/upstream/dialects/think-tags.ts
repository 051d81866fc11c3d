/** What one piece of a text came to. */
export interface ToldApart {
  /** What the model thought. */
  readonly thought: string
  /** What it answered. */
  readonly text: string
}

const openTag = '<think>'
const closeTag = '</think>'
/** White space before an opening tag: more of it is no template's. */
const leadCharsMax = 64
/** Templates put an empty line behind the closing tag. */
const linesBehindMax = 2

const lead = /^[ \t\r\n]*/

/**
 * Tells what a model thought from what it answered, in a text that comes in any pieces: pieces give together what the
 * whole gives at once. Thinking stands at the begin of an answer only; a tag that comes later is a part of the text.
 * Of the text nothing is lost but the tags, the white space before the opening one, the line ends right behind it, and
 * the two behind the closing one.
 */
export class ThinkTags {
  /** Whether the template has written the opening tag already. */
  readonly #isOpened: boolean
  #state: 'start' | 'opened' | 'thinking' | 'closed' | 'text' = 'start'
  /** The begin of what may be a tag, or white space before one. */
  #held = ''
  #linesBehind = 0

  constructor(isOpened: boolean) {
    this.#isOpened = isOpened
  }

  /** Whether everything that comes from here on is text. */
  get isDone(): boolean {
    return this.#state === 'text' && this.#held === ''
  }

  /** Whether the model is in the middle of a thought, so far as is known. */
  get isThinking(): boolean {
    return this.#state === 'opened' || this.#state === 'thinking' || (this.#state === 'start' && this.#isOpened)
  }

  /** Takes the next piece; what may still become a tag stays inside. */
  take(piece: string): ToldApart {
    let rest = this.#held + piece
    this.#held = ''
    if (this.#state === 'start') rest = this.#start(rest)
    if (this.#state === 'opened') rest = this.#dropLines(rest, Number.POSITIVE_INFINITY, 'thinking')
    let thought = ''
    if (this.#state === 'thinking') {
      const end = rest.indexOf(closeTag)
      const told = end >= 0 ? end : rest.length - beginOfTag(rest)
      thought = rest.slice(0, told)
      rest = rest.slice(told)
      if (end < 0) this.#held = rest
      else {
        rest = rest.slice(closeTag.length)
        this.#state = 'closed'
      }
    }
    if (this.#state === 'closed') rest = this.#dropLines(rest, linesBehindMax, 'text')
    return { thought, text: this.#state === 'text' ? rest : '' }
  }

  /** What is left inside when nothing more comes. */
  end(): ToldApart {
    const held = this.#held
    this.#held = ''
    return this.isThinking ? { thought: held, text: '' } : { thought: '', text: held }
  }

  /** The engine tells its thinking apart by itself: what it calls text is text. */
  stop(): void {
    this.#state = 'text'
  }

  #start(text: string): string {
    const begin = text.slice(lead.exec(text)?.[0].length ?? 0)
    const leadChars = text.length - begin.length
    if (leadChars <= leadCharsMax && openTag.startsWith(begin)) {
      if (begin !== openTag) {
        this.#held = text
        return ''
      }
    }
    if (leadChars <= leadCharsMax && begin.startsWith(openTag)) {
      this.#state = 'opened'
      return begin.slice(openTag.length)
    }
    this.#state = this.#isOpened ? 'opened' : 'text'
    return text
  }

  #dropLines(text: string, linesMax: number, then: 'thinking' | 'text'): string {
    let at = 0
    while (text[at] === '\n' && this.#linesBehind < linesMax) {
      at += 1
      this.#linesBehind += 1
    }
    if (at === text.length && this.#linesBehind < linesMax) return ''
    this.#linesBehind = 0
    this.#state = then
    return text.slice(at)
  }
}

/** How many characters at the end of a text may be the begin of the closing tag. */
function beginOfTag(text: string): number {
  for (let length = Math.min(closeTag.length - 1, text.length); length > 0; length -= 1)
    if (text.endsWith(closeTag.slice(0, length))) return length
  return 0
}
