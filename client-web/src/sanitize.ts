import createPurifier from 'dompurify'

const allowedTags =
  'a blockquote br code del div em h1 h2 h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th thead tr ul'.split(
    ' ',
  )

/** Turns rendered markdown into safe nodes. The only way by which text of a model becomes markup. */
export type Sanitize = (html: string) => DocumentFragment

/** The page's one sanitiser: no pictures, no styles, no forms; links open apart and give nothing away. */
export function createSanitizer(window: Window & typeof globalThis): Sanitize {
  const purifier = createPurifier(window)
  purifier.addHook('afterSanitizeAttributes', (node) => {
    if (node.nodeName !== 'A') return
    node.setAttribute('target', '_blank')
    node.setAttribute('rel', 'noopener noreferrer')
  })
  return (html) =>
    purifier.sanitize(html, {
      ALLOWED_TAGS: allowedTags,
      ALLOWED_ATTR: ['href', 'title', 'class', 'start'],
      ALLOW_DATA_ATTR: false,
      ALLOW_ARIA_ATTR: false,
      ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
      RETURN_DOM_FRAGMENT: true,
    })
}
