import type { ReadonlySignal } from '@preact/signals'
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { ProseParts } from './prose-parts.ts'
import type { Chat } from './state.ts'
import type { Locale } from './strings.ts'

export interface App {
  readonly chat: Chat
  readonly locale: Locale
  /** Undefined until they are loaded. */
  readonly proseParts: ReadonlySignal<ProseParts | undefined>
}

export const AppContext = createContext<App | undefined>(undefined)

/** What every component may use. Throws outside `<AppContext.Provider>`. */
export function useApp(): App {
  const app = useContext(AppContext)
  if (app === undefined) throw new Error('useApp() wants an AppContext.Provider above it')
  return app
}
