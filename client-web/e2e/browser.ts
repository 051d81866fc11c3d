import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium } from 'playwright-core'

const stateDirectory = join(import.meta.dirname, '../../.hearth')
const missingLibrary = /error while loading shared libraries/

/**
 * Launches headless Chromium: the one `CHROME` names, or the one that npm carries. Gives back the reason when there is none.
 * The caller closes the browser.
 */
export async function launchBrowser(): Promise<Browser | { reason: string }> {
  const chosen = process.env['CHROME']
  try {
    if (chosen !== undefined && chosen !== '') return await launch(chosen, {})
    const folder = await unpackChromium()
    const program = join(folder, 'chromium')
    const fonts = { FONTCONFIG_FILE: join(folder, 'fonts.conf') }
    return await launch(program, fonts).catch((error: unknown) => {
      // A machine without libnss3 and its like: the package brings its own copies.
      if (!(error instanceof Error) || !missingLibrary.test(error.message)) throw error
      return launch(program, { ...fonts, LD_LIBRARY_PATH: join(folder, 'al2023', 'lib') })
    })
  } catch (error: unknown) {
    return { reason: `no Chromium: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}` }
  }
}

function launch(executablePath: string, env: Record<string, string>): Promise<Browser> {
  return chromium.launch({ executablePath, args: ['--no-sandbox'], env: { ...process.env, ...env } })
}

// The package unpacks to the temporary folder and takes any file it finds there for whole. Here a folder of its own gets
// its final name only when it is.
async function unpackChromium(): Promise<string> {
  const packed = join(dirname(fileURLToPath(import.meta.resolve('@sparticuz/chromium'))), '..')
  const { version } = JSON.parse(readFileSync(join(packed, 'package.json'), 'utf8')) as { version: string }
  const folder = join(stateDirectory, `chromium-${version}`)
  if (existsSync(folder)) return folder
  mkdirSync(stateDirectory, { recursive: true })
  const partial = mkdtempSync(`${folder}.partial-`)
  const { inflate } = await import('@sparticuz/chromium')
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = partial
  try {
    const parts = ['chromium.br', 'fonts.tar.br', 'swiftshader.tar.br', 'al2023.tar.br']
    await Promise.all(parts.map((part) => inflate(join(packed, 'bin', part))))
    writeFileSync(join(partial, 'fonts.conf'), fontConfig(folder))
    if (!existsSync(folder)) renameSync(partial, folder)
  } finally {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
    rmSync(partial, { recursive: true, force: true })
  }
  return folder
}

// Chromium dies without any font, and the package's own list names folders of another system.
function fontConfig(folder: string): string {
  const folders = [join(folder, 'fonts'), '/usr/share/fonts', '/usr/local/share/fonts']
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
${folders.map((path) => `  <dir>${path}</dir>`).join('\n')}
  <cachedir>${join(folder, 'fonts-cache')}</cachedir>
</fontconfig>
`
}
