import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { build } from 'vite'
import { createPageServer } from '../server.ts'
import { type ScriptedGateway, startScriptedGateway } from './scripted-gateway.ts'

/** A page with a gateway behind it, wherever they run. */
export interface Target {
  readonly pageUrl: string
  readonly key: string
  /** Resolves when the engine or gateway has noticed that the reader of the newest stream left; absent where nobody can tell. */
  waitForAbort?(): Promise<void>
  /** Called with the page once a whole answer stands on it, for a picture. */
  onAnswered?(page: Page): Promise<void>
  close(): Promise<void>
}

export type StartTarget = () => Promise<Target>

export interface ScriptedTarget extends Target {
  readonly gateway: ScriptedGateway
}

/** Builds the page into client-web/dist. */
export async function buildPage(): Promise<string> {
  const root = join(import.meta.dirname, '..')
  await build({ root, configFile: join(root, 'vite.config.ts'), logLevel: 'error' })
  return join(root, 'dist')
}

/** The built page in front of a scripted gateway, both on free loopback ports. */
export async function startScriptedTarget(directory: string): Promise<ScriptedTarget> {
  const gateway = await startScriptedGateway()
  const page = await createPageServer({
    host: '127.0.0.1',
    port: 0,
    apiBaseUrls: [`${gateway.origin}/v1`],
    defaultModel: 'smollm2-135m-instruct',
    directory,
  })
  return {
    gateway,
    pageUrl: page.url,
    key: gateway.key,
    close: async () => {
      await page.close()
      await gateway.close()
    },
  }
}
