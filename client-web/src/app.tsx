import { useEffect } from 'preact/hooks'
import { Announcer } from './components/announcer.tsx'
import { Composer } from './components/composer.tsx'
import { ConnectionPanel } from './components/connection.tsx'
import { Header } from './components/header.tsx'
import { Transcript } from './components/transcript.tsx'
import { AppContext, type App as AppParts } from './context.ts'

/** The whole page. */
export function App({ chat, locale, proseParts }: AppParts) {
  useEffect(() => {
    const stopOnEscape = (event: KeyboardEvent): void => {
      if (event.key !== 'Escape' || event.isComposing || chat.panel.value !== undefined) return
      if (chat.isAnswering.value) chat.stop()
    }
    window.addEventListener('keydown', stopOnEscape)
    return () => window.removeEventListener('keydown', stopOnEscape)
  }, [chat])
  return (
    <AppContext.Provider value={{ chat, locale, proseParts }}>
      <Header />
      <Transcript />
      <Composer />
      <ConnectionPanel />
      <Announcer />
    </AppContext.Provider>
  )
}
