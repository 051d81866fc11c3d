type Value = string | number | boolean

/** Most bytes of one text in a record, as UTF-8. */
export const textBytesMax = 2048
const bytesOfCharMax = 3
/** A secret of ours, wherever it stands: its id alone may be told. */
const keyText = /hk_[0-9A-Za-z]{10}_\w+/g
/** What moves a terminal's cursor, ends a line for some reader or turns the direction of text, and JSON leaves as it is. */
const unseen = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g

/** The fields that are there: numbers to thousandths, texts within 2 KiB and without keys. */
export function boundFields(fields: Readonly<Record<string, Value | undefined>>): Record<string, Value> {
  const out: Record<string, Value> = {}
  for (const name in fields) {
    const value = fields[name]
    if (typeof value === 'string') out[name] = boundText(value)
    else if (typeof value === 'boolean') out[name] = value
    else if (typeof value === 'number' && Number.isFinite(value)) out[name] = Math.round(value * 1000) / 1000
  }
  return out
}

/** A text of at most 2 KiB that is whole Unicode and holds no key. */
export function boundText(text: string): string {
  // Cut first: what is thrown away need not be looked at.
  const cut = text.length > textBytesMax ? text.slice(0, textBytesMax) : text
  const safe = (cut.includes('hk_') ? cut.replace(keyText, 'hk_…') : cut).toWellFormed()
  return safe.length * bytesOfCharMax <= textBytesMax ? safe : cutBytes(safe)
}

function cutBytes(text: string): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= textBytesMax) return text
  let end = textBytesMax
  // Not within a character.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.toString('utf8', 0, end)
}

/** JSON, or a piece of a pretty line, with everything escaped that is not seen. */
export function escapeUnseen(text: string): string {
  return text.replace(unseen, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
