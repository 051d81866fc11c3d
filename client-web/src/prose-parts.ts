import { type BlockRenderer, createBlockRenderer } from './markdown.ts'
import { createSanitizer, type Sanitize } from './sanitize.ts'

/** What turns markdown into safe nodes. It is most of the page's weight, so it loads after the first paint. */
export interface ProseParts {
  createBlockRenderer(): BlockRenderer
  readonly sanitize: Sanitize
}

export function createProseParts(window: Window & typeof globalThis): ProseParts {
  return { createBlockRenderer, sanitize: createSanitizer(window) }
}
