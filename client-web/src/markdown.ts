import markdownIt, { type Env, type Token } from 'markdown-it'
import cjkFriendly from 'markdown-it-cjk-friendly'

/** One top-level piece of an answer. `html` is not safe yet: it must pass the sanitiser. */
export interface Block {
  /** Its place in the answer. */
  readonly position: number
  readonly html: string
}

export interface BlockRenderer {
  /** Renders a text that grew since the last call; finished blocks are kept as they were, only the tail is parsed. */
  update(text: string): readonly Block[]
  /** Renders the final text, with link definitions that came after their use. */
  finish(text: string): readonly Block[]
}

type Markdown = ReturnType<typeof createMarkdown>
interface Group {
  startLine: number
  tokens: Token[]
}

// The newest line is not whole yet, and a letter more can make it part of the block before it: `#` is a heading, `#tag` is not.
const openBlockCount = 2

/** Renders a growing markdown answer block by block. */
export function createBlockRenderer(): BlockRenderer {
  const markdown = createMarkdown()
  const frozenEnv: Env = {}
  let frozen: readonly Block[] = []
  let frozenChars = 0
  let last = { text: '', blocks: [] as readonly Block[], isFinal: false }

  const freeze = (head: string): void => {
    frozen = [
      ...frozen,
      ...renderGroups(markdown, groupTopLevel(markdown.parse(head, frozenEnv)), frozenEnv, frozen.length),
    ]
    frozenChars += head.length
  }
  const update = (text: string): readonly Block[] => {
    const tail = text.slice(frozenChars)
    const env: Env = { references: { ...frozenEnv.references } }
    const groups = groupTopLevel(markdown.parse(tail, env))
    const open = groups.slice(-openBlockCount)
    const startLine = open[0]?.startLine ?? 0
    if (groups.length > open.length) freeze(tail.slice(0, lineOffset(tail, startLine)))
    return [...frozen, ...renderGroups(markdown, open, env, frozen.length)]
  }

  const renderAll = (text: string): readonly Block[] => {
    const env: Env = {}
    return renderGroups(markdown, groupTopLevel(markdown.parse(text, env)), env, 0)
  }

  return {
    update: (text) => {
      if (text === last.text) return last.blocks
      if (!text.startsWith(last.text.slice(0, frozenChars))) throw new Error('update() wants a text that only grew')
      last = { text, blocks: update(text), isFinal: false }
      return last.blocks
    },
    finish: (text) => {
      if (text !== last.text || !last.isFinal) last = { text, blocks: renderAll(text), isFinal: true }
      return last.blocks
    },
  }
}

/** Markdown without raw HTML, without remote pictures (they become links) and with links to http, https and mailto alone. */
export function createMarkdown() {
  const markdown = markdownIt({ html: false, linkify: true, breaks: true }).use(cjkFriendly)
  markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false })
  markdown.validateLink = (url) => /^(https?:|mailto:)/i.test(url.trim())
  markdown.renderer.rules['image'] = (tokens, index) => {
    const token = tokens[index]
    const source = String(token?.attrGet('src') ?? '')
    const label = token?.content === '' || token === undefined ? source : token.content
    return `<a class="remote-image" href="${escapeHtml(source)}">${escapeHtml(label)}</a>`
  }
  // A style attribute would need an exception in the page's policy; a class does not.
  markdown.core.ruler.push('align-by-class', (state) => {
    for (const token of state.tokens) {
      const align = /^text-align:(left|center|right)$/.exec(String(token.attrGet('style') ?? ''))?.[1]
      if (align === undefined) continue
      token.attrs = (token.attrs ?? []).filter(([name]) => name !== 'style')
      token.attrSet('class', `align-${align}`)
    }
  })
  return markdown
}

function renderGroups(markdown: Markdown, groups: readonly Group[], env: Env, from: number): Block[] {
  return groups.map(({ tokens }, index) => ({
    position: from + index,
    html: markdown.renderer.render(tokens, markdown.options, env),
  }))
}

function groupTopLevel(tokens: readonly Token[]): Group[] {
  const groups: Group[] = []
  let depth = 0
  for (const token of tokens) {
    if (depth === 0) groups.push({ startLine: token.map?.[0] ?? 0, tokens: [] })
    groups.at(-1)?.tokens.push(token)
    depth += token.nesting
  }
  return groups
}

function lineOffset(text: string, line: number): number {
  let offset = 0
  for (let count = 0; count < line; count += 1) offset = text.indexOf('\n', offset) + 1
  return offset
}

function escapeHtml(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')
}
