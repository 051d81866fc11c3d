import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createBlockRenderer, createMarkdown } from './markdown.ts'

const render = (text: string): string => createMarkdown().render(text).trim()
const htmlOf = (blocks: readonly { html: string }[]): readonly string[] => blocks.map(({ html }) => html)

describe('emphasis beside Korean and Chinese letters', () => {
  const cases: readonly [text: string, html: string][] = [
    ['**주의:**다음 단계', '<strong>주의:</strong>다음 단계'],
    ['**注意：**正文', '<strong>注意：</strong>正文'],
    ['含**「重点」**内容', '含<strong>「重点」</strong>内容'],
    ['한국어**[강조]**한국어', '한국어<strong>[강조]</strong>한국어'],
    ['**重要提示（Important Notice）：**請注意', '<strong>重要提示（Important Notice）：</strong>請注意'],
    ['**bold**조사', '<strong>bold</strong>조사'],
    ['~~删除（括号）。~~这', '<s>删除（括号）。</s>这'],
    ['**复现：**10 轮', '<strong>复现：</strong>10 轮'],
  ]
  for (const [text, html] of cases) it(`${text} is drawn`, () => assert.equal(render(text), `<p>${html}</p>`))
})

it('raw HTML is text', () => {
  assert.equal(render('<b onclick="x()">hi</b>'), '<p>&lt;b onclick=&quot;x()&quot;&gt;hi&lt;/b&gt;</p>')
})

it('a picture becomes a link, and a picture inside a link loads nothing either', () => {
  const link = '<a class="remote-image" href="https://x.example/a.png">a &amp; b</a>'
  assert.equal(render('![a & b](https://x.example/a.png)'), `<p>${link}</p>`)
  assert.doesNotMatch(render('[![x](https://x.example/i)](https://y.example/)'), /<img|src=/)
})

it('links to anything but http, https and mailto stay text', () => {
  for (const url of ['javascript:x', 'data:text/html,x', 'file:///etc/passwd', '/v1/models', 'blob:x']) {
    assert.doesNotMatch(render(`[a](${url})`), /href/, url)
  }
  assert.match(render('[a](https://x.example)'), /href="https:\/\/x.example"/)
})

it('a table says its alignment by class, for the page allows no style attribute', () => {
  const html = render('| a |\n| --: |\n| 1 |')
  assert.match(html, /<th class="align-right">/)
  assert.doesNotMatch(html, /style=/)
})

it('a text that grows letter by letter ends as the same html as the whole text at once', () => {
  const text = [
    '# Title\n\nOne *two*\nthree\n\n- a\n- b\n  - c\n\n1. x\n\n   y\n\n```js\nlet a = 1\n\nlet b\n```\n',
    '\n| a | b |\n| - | - |\n| 1 | 2 |\n\n> quote\n> more\n\nSet-ext\n=======\n\nEnd with [link].\n\n[link]: https://x.example/\n',
  ].join('')
  const renderer = createBlockRenderer()
  for (let length = 1; length <= text.length; length += 1) renderer.update(text.slice(0, length))
  assert.equal(htmlOf(renderer.finish(text)).join(''), createMarkdown().render(text))
})

it('while a text grows, what it shows is what a parse of the whole would show', () => {
  const text =
    '# T\n\nA\n\n- a\n- b\n\n  c\n\n* d\n\n    code\n\nB\n***\nE\n***x*\nF\n#tag\n\n1. x\n2. y\n\n```\nz\n\n\nz\n```\nC\n\n| a |\n| - |\n| 1 |\n\nD'
  const renderer = createBlockRenderer()
  for (let length = 1; length <= text.length; length += 1) {
    const part = text.slice(0, length)
    assert.equal(htmlOf(renderer.update(part)).join(''), createMarkdown().render(part), JSON.stringify(part))
  }
})

it('finished blocks are the same objects from one update to the next, so only the tail was parsed', () => {
  const renderer = createBlockRenderer()
  const before = renderer.update('one\n\ntwo\n\nthree\n\nfour')
  const after = renderer.update('one\n\ntwo\n\nthree\n\nfour five')
  assert.equal(before.length, 4)
  assert.equal(after[0], before[0])
  assert.equal(after[1], before[1])
  assert.notEqual(after[3], before[3])
})
