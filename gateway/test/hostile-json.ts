const bytes = 10 * 2 ** 20
const start = '{"model":"qwen2.5-vl-tiny","messages":[{"role":"user","content":"'
/** Wrong at the very end, so that all of it is read and nothing goes on to the engine. */
const end = '"n":5}'

/** Bodies of 10 MiB that are made to keep a reader of JSON busy: escapes, small values, nesting, keys. */
export function hostileBodies(): readonly Buffer[] {
  const fill = (piece: string) => piece.repeat(Math.floor(bytes / piece.length))
  const field = (value: string) => `${start}"}],"x":${value},${end}`
  const keys = Array.from({ length: 99_000 }, (_, key) => `"${String(key).padEnd(94, 'k')}":{}`).join()
  return [
    `${start}${fill('\\n')}"}],${end}`,
    `${start}${fill('\\ud83d\\ude00')}"}],${end}`,
    `${start}${fill('A line of \\"text\\".\\n')}"}],${end}`,
    field(`[${fill('0,')}0]`),
    field(`[${fill(`${'['.repeat(60)}${']'.repeat(60)},`)}0]`),
    field(`{${keys}}`),
    field(`[${fill('"",')}0]`),
    field('['.repeat(bytes)),
  ].map((text) => Buffer.from(text))
}
