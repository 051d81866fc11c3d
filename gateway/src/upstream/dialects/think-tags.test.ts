import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ThinkTags } from './think-tags.ts'

/** What comes of a text in these pieces. */
function tell(pieces: readonly string[], isOpened = false) {
  const tags = new ThinkTags(isOpened)
  const told = [...pieces.map((piece) => tags.take(piece)), tags.end()]
  return {
    thought: told.map(({ thought }) => thought).join(''),
    text: told.map(({ text }) => text).join(''),
    isThinking: tags.isThinking,
  }
}

test('what stands between the tags at the begin is a thought, what comes behind them the answer', () => {
  for (const [text, thought, answer] of [
    ['<think>\nHm.\n</think>\n\nYes.', 'Hm.\n', 'Yes.'],
    ['\n <think>Hm.</think>Yes.', 'Hm.', 'Yes.'],
    ['<think>\n\n</think>\n\nYes.', '', 'Yes.'],
    ['<think>a</think>\n\n\n\nYes.', 'a', '\n\nYes.'],
    ['<think>a < b </thin </think >c</think>d', 'a < b </thin </think >c', 'd'],
    ['<think>a</think>b<think>c</think>', 'a', 'b<think>c</think>'],
    ['No <think>a</think>', '', 'No <think>a</think>'],
    ['a</think>b', '', 'a</think>b'],
    ['<thi', '', '<thi'],
    ['  ', '', '  '],
    ['', '', ''],
  ] as const)
    deepEqual(tell([text]), { thought, text: answer, isThinking: false }, JSON.stringify(text))
})

test('where the template wrote the opening tag, all up to the first closing one is a thought', () => {
  for (const [text, thought, answer, isThinking] of [
    ['\nHm.\n</think>\n\nYes.', 'Hm.\n', 'Yes.', false],
    ['<think>Hm.</think>Yes.', 'Hm.', 'Yes.', false],
    ['Hm.', 'Hm.', '', true],
    ['</think>Yes.</think>', '', 'Yes.</think>', false],
    ['', '', '', true],
  ] as const)
    deepEqual(tell([text], true), { thought, text: answer, isThinking }, JSON.stringify(text))
})

test('a thought without end is a thought, with the begin of a tag that never came', () => {
  for (const isOpened of [false, true])
    deepEqual(tell(['<think>a', 'b</', 'thi'], isOpened), { thought: 'ab</thi', text: '', isThinking: true })
})

test('any text with any tags, cut anywhere, is told apart as the whole is, and nothing of it is lost', () => {
  const bit = fc.constantFrom('<think>', '</think>', '\n', ' ', '<', '/', 'thi', 'nk>', 'a', '漢', '😀', '</', '\n\n')
  const texts = fc.array(fc.oneof(bit, fc.string({ maxLength: 3 })), { maxLength: 24 }).map((bits) => bits.join(''))
  const tests = fc.property(texts, fc.array(fc.nat(60), { maxLength: 12 }), fc.boolean(), (text, cuts, isOpened) => {
    const places = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((one, other) => one - other), text.length]
    const pieces = places.slice(1).map((end, at) => text.slice(places[at], end))
    const whole = tell([text], isOpened)
    deepEqual(tell(pieces, isOpened), whole)
    deepEqual(
      tell(
        [...text].flatMap((character) => character.split('')),
        isOpened,
      ),
      whole,
    )
    const bare = (some: string) => some.replaceAll('\n', '')
    ok(bare(text).replace(/^\s*(?=<think>)/, '').length - bare(whole.thought + whole.text).length <= 15)
    ok(bare(text).endsWith(bare(whole.text)), 'the answer is the end of the text')
  })
  fc.assert(tests, { numRuns: 3_000, verbose: false })
})

test('an engine that tells its thinking apart by itself is left alone from there on', () => {
  const tags = new ThinkTags(true)
  tags.stop()
  equal(tags.isDone, true)
  deepEqual(tags.take('a</think>b'), { thought: '', text: 'a</think>b' })
})

test('white space before an opening tag has a bound', () => {
  equal(tell([`${' '.repeat(64)}<think>a</think>b`]).thought, 'a')
  equal(tell([`${' '.repeat(65)}<think>a</think>b`]).thought, '')
  equal(tell([...`${' '.repeat(65)}<think>a</think>b`]).thought, '')
})
