import { useEffect, useState } from 'preact/hooks'
import { useApp } from '../context.ts'
import { CopyIcon } from './icons.tsx'

const copiedShownMs = 2000

/** Copies the answer as the markdown it came in. */
export function CopyButton({ text }: { text: string }) {
  const { action } = useApp().locale.strings
  const [isCopied, setCopied] = useState(false)
  useEffect(() => {
    if (!isCopied) return
    const timer = setTimeout(() => setCopied(false), copiedShownMs)
    return () => clearTimeout(timer)
  }, [isCopied])
  const label = isCopied ? action.copied : action.copy
  const copy = (): void =>
    void navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => undefined,
    )
  return (
    <button
      type="button"
      class="icon-button small"
      data-done={isCopied}
      aria-label={label}
      title={label}
      onClick={copy}
    >
      <CopyIcon />
    </button>
  )
}
