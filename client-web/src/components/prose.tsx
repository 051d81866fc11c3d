import { useLayoutEffect, useMemo, useRef } from 'preact/hooks'
import { useApp } from '../context.ts'
import type { ProseParts } from '../prose-parts.ts'
import type { Locale } from '../strings.ts'

/** The text of a model: plain until the markdown parts are loaded, then rendered block by block. */
export function Prose({ text, isLive }: { text: string; isLive: boolean }) {
  const parts = useApp().proseParts.value
  if (parts === undefined) return <div class="prose plain">{text}</div>
  return <Blocks parts={parts} text={text} isLive={isLive} />
}

// A finished block's html stays the same string, so its nodes are never touched again.
function Blocks({ parts, text, isLive }: { parts: ProseParts; text: string; isLive: boolean }) {
  const renderer = useMemo(() => parts.createBlockRenderer(), [parts])
  const blocks = isLive ? renderer.update(text) : renderer.finish(text)
  return (
    <div class="prose">
      {blocks.map(({ position, html }) => (
        <BlockView key={position} parts={parts} html={html} />
      ))}
    </div>
  )
}

function BlockView({ parts, html }: { parts: ProseParts; html: string }) {
  const { locale } = useApp()
  const node = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const fragment = parts.sanitize(html)
    for (const pre of fragment.querySelectorAll('pre')) frameCode(pre, locale)
    node.current?.replaceChildren(fragment)
  }, [html, locale, parts])
  return <div class="block" ref={node} />
}

// Gives a code block its language, a copy button and a place in the tab order, so that it scrolls by keyboard.
function frameCode(pre: HTMLPreElement, { strings }: Locale): void {
  const code = pre.querySelector('code')
  const language = /\blanguage-([\w+#-]+)/.exec(code?.className ?? '')?.[1] ?? ''
  pre.tabIndex = 0
  const name = document.createElement('span')
  name.textContent = language
  const copy = document.createElement('button')
  copy.type = 'button'
  copy.className = 'button quiet'
  copy.textContent = strings.action.copy
  copy.addEventListener('click', () => {
    const shown = (): void => {
      copy.textContent = strings.action.copied
    }
    navigator.clipboard.writeText(code?.textContent ?? '').then(shown, () => undefined)
  })
  const head = document.createElement('div')
  head.className = 'code-head'
  head.append(name, copy)
  const frame = document.createElement('div')
  frame.className = 'code'
  pre.replaceWith(frame)
  frame.append(head, pre)
}
