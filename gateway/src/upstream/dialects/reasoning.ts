import type { ModelConfig } from '../../config.ts'
import type { AnswerReader } from './answer-reader.ts'
import type { ChoiceParts, ValuePlace } from './choice-parts.ts'
import type { Splices } from './splices.ts'
import { ThinkTags } from './think-tags.ts'

const quote = 0x22

/**
 * Gives what a model thought under both names that clients read, `reasoning` and `reasoning_content`, and takes it out
 * of the text of models that write it there. Null stays null, and no text is made of thoughts.
 */
export class Reasoning {
  readonly #form: ModelConfig['reasoning']
  readonly #tags = new Map<number, ThinkTags>()

  constructor(form: ModelConfig['reasoning']) {
    this.#form = form
  }

  /** Adds to `splices` what changes in `bytes`. `isLast`: no later bytes bring more of a choice. */
  shape(bytes: Buffer, reader: AnswerReader, splices: Splices, isLast: boolean): void {
    for (let at = 0; at < reader.choiceCount; at += 1) {
      const choice = reader.choices[at]
      if (choice === undefined) return
      const isToldByEngine = choice.reasoning.hasText || choice.reasoningContent.hasText
      if (isToldByEngine) giveBoth(bytes, choice, splices)
      if (this.#form !== 'fields') this.#tellApart(bytes, choice, splices, isToldByEngine, isLast)
    }
  }

  #tellApart(bytes: Buffer, choice: ChoiceParts, splices: Splices, isToldByEngine: boolean, isLast: boolean): void {
    const tags = this.#tagsOf(choice.index)
    if (isToldByEngine) tags.stop()
    if (tags.isDone) return
    const { content } = choice
    const said = content.isText ? textOf(bytes, content) : ''
    const isEnd = isLast || choice.finish.hasText
    if (said === '' && !isEnd) return
    let { thought, text } = tags.take(said)
    if (isEnd) {
      const rest = tags.end()
      thought += rest.thought
      text += rest.text
      if (thought === '' && text === said) return
      const isCutOff = isLast && tags.isThinking && text === ''
      return write(bytes, choice, splices, { thought, content: isCutOff ? 'null' : contentOf(text, isLast) })
    }
    if (thought === '' && text === said) return
    write(bytes, choice, splices, { thought, content: contentOf(text, false) })
  }

  #tagsOf(index: number): ThinkTags {
    let tags = this.#tags.get(index)
    if (tags === undefined) {
      tags = new ThinkTags(this.#form === 'open-tags')
      this.#tags.set(index, tags)
    }
    return tags
  }
}

/** The one of the two names that is missing, or null, gets what the other one has. */
function giveBoth(bytes: Buffer, { reasoning, reasoningContent }: ChoiceParts, splices: Splices): void {
  const [given, other, name] = reasoning.isText
    ? [reasoning, reasoningContent, 'reasoning_content']
    : [reasoningContent, reasoning, 'reasoning']
  if (other.isText) return
  const token = bytes.subarray(given.start, given.end)
  if (other.isThere) splices.add(other.start, other.end, token)
  else splices.add(given.end, given.end, Buffer.concat([Buffer.from(`,"${name}":`), token]))
}

/** A delta that brings a thought alone says nothing of the content, as with engines that tell it apart themselves. */
function contentOf(text: string, isMessage: boolean): string | undefined {
  return text !== '' || isMessage ? JSON.stringify(text) : undefined
}

/** Puts a thought, and a content as JSON, into the message or delta of a choice. */
function write(
  bytes: Buffer,
  choice: ChoiceParts,
  splices: Splices,
  { thought, content }: { thought: string; content: string | undefined },
): void {
  const members = content === undefined ? [] : [`"content":${content}`]
  const token = JSON.stringify(thought)
  for (const [place, name] of [
    [choice.reasoning, 'reasoning'],
    [choice.reasoningContent, 'reasoning_content'],
  ] as const) {
    if (thought === '') break
    if (place.isThere) splices.add(place.start, place.end, Buffer.from(token))
    else members.push(`"${name}":${token}`)
  }
  putMembers(bytes, choice, splices, members.length === 0 ? '"content":""' : members.join(','))
}

/** In the place of the content, where there is one. */
function putMembers(bytes: Buffer, choice: ChoiceParts, splices: Splices, members: string): void {
  const { content, messageStart, messageEnd, start } = choice
  if (content.isThere) return splices.add(content.keyStart, content.end, Buffer.from(members))
  if (messageStart < 0) return splices.add(start, start, Buffer.from(`"delta":{${members}},`))
  const next = bytes.indexOf(quote, messageStart)
  const hasMore = next >= 0 && next < messageEnd
  splices.add(messageStart, messageStart, Buffer.from(hasMore ? `${members},` : members))
}

function textOf(bytes: Buffer, place: ValuePlace): string {
  try {
    const text: unknown = JSON.parse(bytes.toString('utf8', place.start, place.end))
    return typeof text === 'string' ? text : ''
  } catch {
    return ''
  }
}
