import { useApp } from '../context.ts'
import type { Stats } from '../stats.ts'

/** Speed first, then counts and times; `≈` marks figures counted by the page itself. */
export function StatsLine({ stats }: { stats: Stats }) {
  const { locale } = useApp()
  const text = locale.strings.stats
  const mark = stats.isEstimate ? text.approximately : ''
  const parts = [
    stats.tokensPerSecond === undefined ? undefined : mark + text.speed(locale.number(stats.tokensPerSecond, 1)),
    mark + text.tokens(locale.number(stats.tokens), stats.tokens),
    stats.promptTokens === undefined ? undefined : text.prompt(locale.number(stats.promptTokens)),
    stats.firstTokenMs === undefined ? undefined : text.firstToken(locale.duration(stats.firstTokenMs)),
    text.total(locale.duration(stats.totalMs)),
  ]
  return (
    <p class="stats">
      {parts
        .filter((part) => part !== undefined)
        .map((part) => (
          <span key={part}>{part}</span>
        ))}
    </p>
  )
}
