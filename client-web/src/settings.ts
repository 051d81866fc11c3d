import { member, parseJson, textOf } from './json.ts'

/** What the page keeps between visits. */
export interface Settings {
  baseUrl: string
  model: string
  key: string
  remembersKey: boolean
}

export interface SettingsStore {
  load(): Settings
  save(settings: Settings): void
}

const settingsName = 'hearth.settings'
const keyName = 'hearth.key'

/** The key lives in `session` and is gone with the tab, unless the person asked this device to remember it. */
export function createSettingsStore(
  session: Storage,
  local: Storage,
  defaults: { baseUrl: string; model: string },
): SettingsStore {
  return {
    load: () => {
      const saved = parseJson(local.getItem(settingsName) ?? '')
      const remembered = local.getItem(keyName)
      return {
        baseUrl: textOf(member(saved, 'baseUrl')) ?? defaults.baseUrl,
        model: textOf(member(saved, 'model')) ?? defaults.model,
        key: remembered ?? session.getItem(keyName) ?? '',
        remembersKey: remembered !== null,
      }
    },
    save: ({ baseUrl, model, key, remembersKey }) => {
      // A default is not written down, so that a new default of the server still reaches this device.
      const own = { baseUrl: baseUrl === defaults.baseUrl ? '' : baseUrl, model: model === defaults.model ? '' : model }
      local.setItem(settingsName, JSON.stringify(own))
      local.removeItem(keyName)
      session.removeItem(keyName)
      if (key !== '') (remembersKey ? local : session).setItem(keyName, key)
    },
  }
}
