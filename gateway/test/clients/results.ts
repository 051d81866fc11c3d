import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ClientName } from './ask.ts'

/** What stands in each cell of docs/clients.md: by case, then by client. */
export type Results = Readonly<Record<string, Partial<Readonly<Record<ClientName, string>>>>>

/** Takes cells as the cases are played, and leaves them where `HEARTH_CLIENTS_RESULTS` says, for who asked for them. */
export function keepResults(name: string) {
  const cells: Record<string, Partial<Record<ClientName, string>>> = {}
  return {
    put: (row: string, client: ClientName, cell: string): void => {
      cells[row] = { ...cells[row], [client]: cell }
    },
    write: (): void => {
      const folder = process.env['HEARTH_CLIENTS_RESULTS']
      if (folder === undefined) return
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, `${name}.json`), JSON.stringify(cells))
    },
  }
}
