import { signal } from '@preact/signals'
import { render } from 'preact'
import { createApi } from './api.ts'
import { App } from './app.tsx'
import { readPageConfig } from './config.ts'
import type { ProseParts } from './prose-parts.ts'
import { createSettingsStore } from './settings.ts'
import { createChat } from './state.ts'
import { pickLocale } from './strings.ts'

async function start(root: HTMLElement): Promise<void> {
  const config = await readPageConfig(window.fetch.bind(window), location.href)
  const locale = pickLocale(navigator.languages)
  document.documentElement.lang = locale.tag
  const api = createApi({
    fetch: window.fetch.bind(window),
    pageUrl: location.href,
    allowedOrigins: config.allowedOrigins,
    isOnline: () => navigator.onLine,
  })
  const store = createSettingsStore(sessionStorage, localStorage, {
    baseUrl: config.baseUrl,
    model: config.defaultModel,
  })
  const clock = {
    now: () => performance.now(),
    onFrame: (callback: () => void) => {
      requestAnimationFrame(callback)
    },
  }
  const chat = createChat({ api, store, clock })
  const proseParts = signal<ProseParts | undefined>(undefined)
  render(<App chat={chat} locale={locale} proseParts={proseParts} />, root)
  const connected = chat.connect()
  const { createProseParts } = await import('./prose-parts.ts')
  proseParts.value = createProseParts(window)
  await connected
}

const root = document.getElementById('app')
if (root === null) throw new Error('index.html lacks the element #app')
void start(root)
