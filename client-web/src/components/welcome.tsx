import { useApp } from '../context.ts'
import { ConnectionForm } from './connection.tsx'
import { connectionState } from './connection-state.ts'

/** The empty page: how the road to the GPU stands, and the next step on it. */
export function Welcome() {
  const { chat, locale } = useApp()
  const { strings } = locale
  const isConnected = chat.models.value.state === 'ready'
  return (
    <section class="column welcome">
      <h2 class="welcome-heading">{strings.welcome.heading}</h2>
      <p class="welcome-lead">{strings.welcome.lead}</p>
      <Road />
      {isConnected ? (
        <ul class="examples">
          {strings.welcome.examples.map((example) => (
            <li key={example}>
              <button type="button" class="example" onClick={() => void chat.ask(example)}>
                {example}
              </button>
            </li>
          ))}
        </ul>
      ) : (
        chat.models.value.state !== 'unknown' && (
          <div class="card">
            <p class="card-intro">{strings.connection.intro}</p>
            <ConnectionForm prefix="welcome" />
          </div>
        )
      )}
    </section>
  )
}

function Road() {
  const { chat, locale } = useApp()
  const { strings } = locale
  const { baseUrl, model } = chat.settings.value
  const { tone } = connectionState(chat, strings)
  const host = URL.parse(baseUrl)?.host ?? baseUrl
  const stops = [
    { label: strings.welcome.page, detail: location.host, tone: 'good' },
    { label: strings.welcome.gateway, detail: host, tone },
    { label: strings.welcome.gpu, detail: model || strings.welcome.noModel, tone: tone === 'good' ? 'good' : 'quiet' },
  ]
  return (
    <ol class="road">
      {stops.map((stop) => (
        <li key={stop.label} class="road-stop" data-tone={stop.tone}>
          <span class="road-label">{stop.label}</span>
          <span class="road-detail" title={stop.detail}>
            {stop.detail}
          </span>
        </li>
      ))}
    </ol>
  )
}
