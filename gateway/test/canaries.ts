/**
 * Texts that tests plant wherever a caller, an engine or an operator could put a secret. They are found again in whatever
 * form a log could hold them. The scripted engine uses this too: it imports nothing of the code that is checked.
 */

const mark = 'HearthCanary'

/** A canary for one place, to be planted there; every text that holds it is found by {@link findPlanted}. */
export function plant(place: string): string {
  return `${mark}-${place}`
}

/** The mark as it stands in texts that were encoded on their way: base64 at each of three offsets, hex, backwards. */
const forms: readonly string[] = [
  mark,
  mark.toLowerCase(),
  Buffer.from(mark).toString('hex'),
  [...mark].reverse().join(''),
  ...[0, 1, 2].map((offset) => {
    const encoded = Buffer.from(`${'x'.repeat(offset)}${mark}`).toString('base64')
    // The first group holds other bytes too where the mark does not begin with it, and the last where it does not end with it.
    return encoded.slice(offset === 0 ? 0 : 4, -4)
  }),
]

/** The first canary or secret in a text, with what stands around it; undefined where there is none. */
export function findPlanted(text: string, secrets: readonly string[] = []): string | undefined {
  for (const needle of [...forms, ...secrets]) {
    const at = text.indexOf(needle)
    if (at >= 0) return text.slice(Math.max(0, at - 120), at + needle.length + 60)
  }
  return undefined
}

/** What must stand nowhere of a key: all of it, and the half that makes it a secret. */
export function secretsOf(key: string): readonly string[] {
  const secret = key.split('_').at(-1) ?? key
  return [secret.slice(0, Math.max(16, Math.floor(secret.length / 2)))]
}
