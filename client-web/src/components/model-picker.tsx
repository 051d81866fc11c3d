import { useApp } from '../context.ts'

/** A list when the gateway gave one, a text field when it did not. */
export function ModelPicker({ id }: { id: string }) {
  const { chat, locale } = useApp()
  const { strings } = locale
  const models = chat.models.value
  const { model } = chat.settings.value
  const change = (event: Event & { currentTarget: HTMLSelectElement | HTMLInputElement }): void =>
    chat.change({ model: event.currentTarget.value })
  if (models.state === 'ready' && models.ids.length > 0) {
    return (
      <select id={id} class="model" aria-label={strings.model} value={model} onChange={change}>
        {models.ids.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    )
  }
  return (
    <input
      id={id}
      class="model"
      aria-label={strings.model}
      placeholder={strings.modelPlaceholder}
      value={model}
      autocomplete="off"
      autocapitalize="off"
      spellcheck={false}
      onInput={change}
    />
  )
}
