import { type Arm, type Finding, type Outcome, passes, type Scenario } from './scenario.ts'

/** The one line for programs; what did not hold is named only where the scenario fails. */
export function jsonLine(name: string, outcome: Outcome): string {
  const pass = passes(outcome)
  const broken = outcome.claims.filter(({ holds }) => !holds).map(({ text }) => text)
  return JSON.stringify({
    scenario: name,
    plain: outcome.plain,
    cured: outcome.cured,
    pass,
    ...(outcome.skipped === undefined ? {} : { skipped: outcome.skipped }),
    ...(broken.length === 0 ? {} : { broken }),
  })
}

/** The same for a person: what was done, both arms side by side, and the verdict sentence by sentence. */
export function describeOutcome(scenario: Scenario, outcome: Outcome): string {
  const lines = [`${scenario.name}: ${scenario.about}`, '']
  if (outcome.skipped !== undefined) return [...lines, `skipped: ${outcome.skipped}`, ''].join('\n')
  lines.push(...table(['', scenario.arms.plain, scenario.arms.cured], rowsOf(outcome.plain, outcome.cured)), '')
  for (const { text, holds } of outcome.claims) lines.push(`  ${holds ? '✔' : '✖'} ${text}`)
  return [...lines, '', passes(outcome) ? 'pass' : 'FAIL', ''].join('\n')
}

function rowsOf(plain: Arm, cured: Arm): string[][] {
  const names = new Set([...Object.keys(cured), ...Object.keys(plain)])
  const cell = (arm: Arm, name: string) => (arm[name] === undefined ? '' : describeFinding(name, arm[name]))
  return [...names].map((name) => [wordsOf(name), cell(plain, name), cell(cured, name)])
}

/** "firstAnswerMs" reads "first answer"; what is no name of a field stays. */
function wordsOf(name: string): string {
  if (!/^[a-z]+([A-Z][a-z]*)*$/.test(name)) return name
  return name
    .replace(/(Ms|Bytes)$/, '')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
}

function describeFinding(name: string, finding: Finding): string {
  if (finding === null) return '–'
  if (typeof finding === 'boolean') return finding ? 'yes' : 'no'
  if (typeof finding === 'string') return finding
  if (typeof finding === 'number') {
    if (/(^ms|Ms)$/.test(name))
      return finding >= 1_000 ? `${(finding / 1_000).toFixed(1)} s` : `${Math.round(finding)} ms`
    if (/Bytes$/.test(name)) return `${finding} bytes`
    return Number.isInteger(finding) ? String(finding) : finding.toFixed(3)
  }
  const parts = Object.entries(finding)
  if (parts.length === 0) return 'none'
  const bare = 'status' in finding || 'ms' in finding
  return parts
    .map(([part, value]) => (bare ? describeFinding(part, value) : `${part} ${describeFinding(part, value)}`))
    .join(bare ? '  ' : ', ')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ')}`.trimEnd()
  return [line(head), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)]
}
