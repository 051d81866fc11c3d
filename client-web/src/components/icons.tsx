import type { ComponentChildren } from 'preact'

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false">
      {children}
    </svg>
  )
}

export const SendIcon = () => (
  <Icon>
    <path d="M12 19V5M5.5 11.5 12 5l6.5 6.5" />
  </Icon>
)

export const StopIcon = () => (
  <Icon>
    <rect class="filled" x="7" y="7" width="10" height="10" rx="2" />
  </Icon>
)

export const NewChatIcon = () => (
  <Icon>
    <path d="M12 5v14M5 12h14" />
  </Icon>
)

export const AgainIcon = () => (
  <Icon>
    <path d="M19.5 12a7.5 7.5 0 1 1-2.2-5.3L19.5 9M19.5 4.5V9H15" />
  </Icon>
)

export const CopyIcon = () => (
  <Icon>
    <rect x="9" y="9" width="10.5" height="10.5" rx="2" />
    <path d="M15 5.5A1.5 1.5 0 0 0 13.5 4.5H6A1.5 1.5 0 0 0 4.5 6v7.5A1.5 1.5 0 0 0 6 15" />
  </Icon>
)

export const CloseIcon = () => (
  <Icon>
    <path d="m6 6 12 12M18 6 6 18" />
  </Icon>
)

export const DownIcon = () => (
  <Icon>
    <path d="M12 5v14M5.5 12.5 12 19l6.5-6.5" />
  </Icon>
)

/** The mark: an arch with a flame in it. */
export const HearthMark = () => (
  <svg class="mark" viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" focusable="false">
    <path class="mark-arch" d="M6 27V15.5a10 10 0 0 1 20 0V27M3.5 27.5h25" />
    <path
      class="mark-flame"
      d="M16 11.5c.6 3.4 4.6 5.2 4.6 9.4a4.6 4.6 0 0 1-9.2 0c0-2.2 1.2-3.4 2-4.6.4 1.2 1 1.8 1.6 2 .4-2.2-.2-4.4 1-6.8z"
    />
  </svg>
)
