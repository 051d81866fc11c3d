import type { FailureKind } from './failure.ts'

interface FailureText {
  title: string
  /** What to do next. */
  hint: string
}

const en = {
  title: 'Hearth',
  newChat: 'New chat',
  model: 'Model',
  modelPlaceholder: 'Name of a model',
  conversation: 'Conversation',
  toLatest: 'To the latest',
  question: (position: number) => `Your question ${position}`,
  answer: (position: number, model: string) => `Answer ${position} by ${model}`,
  welcome: {
    heading: 'Ask the GPU at home',
    lead: 'Your question goes from this page through your gateway to your own machine, and the answer comes back as it is written.',
    page: 'This page',
    gateway: 'Gateway',
    gpu: 'Model',
    noModel: 'not chosen yet',
    examples: [
      'Explain how a heat pump works, in five sentences.',
      'Write a haiku about a fireplace.',
      'What is a good name for a robot vacuum?',
    ],
  },
  connection: {
    open: 'Connection',
    heading: 'Connection',
    intro: 'Where your gateway is, and the key it knows you by.',
    baseUrl: 'Base URL',
    baseUrlHint: 'Any OpenAI-compatible address; most end in /v1.',
    key: 'API key',
    keyHint: 'The owner of the gateway makes one with “hearth keys create”.',
    show: 'Show',
    hide: 'Hide',
    remember: 'Remember the key on this device',
    connect: 'Connect',
    connecting: 'Connecting…',
    close: 'Close',
    chooseModel: 'Choose a model first.',
    state: {
      unknown: 'Not connected',
      loading: 'Connecting…',
      needsKey: 'Needs a key',
      ready: (count: number) => (count === 1 ? 'Connected · 1 model' : `Connected · ${count} models`),
      empty: 'Connected · type a model',
      failed: 'Not connected',
    },
  },
  composer: {
    region: 'Ask',
    label: 'Your question',
    placeholder: 'Ask anything…',
    send: 'Send',
    stop: 'Stop',
    hint: 'Enter to send · Shift + Enter for a new line',
    hintAnswering: 'Esc to stop',
  },
  phase: {
    sending: 'Sending',
    queued: (position: string, eta: string) => `In line${position}${eta}`,
    queuePosition: (position: number) => ` · ${ordinal(position)}`,
    queueEta: (seconds: string) => ` · about ${seconds}`,
    waking: 'The GPU is waking up',
    wakingHint: 'The first answer after a sleep usually takes one to two minutes.',
    wakeStages: { power: 'Power', boot: 'Boot', tunnel: 'Tunnel', model: 'Model' } as Record<string, string>,
    reading: 'Reading your question',
    writing: 'Writing',
    silent: (seconds: string) => `Nothing heard for ${seconds}. You can keep waiting or stop.`,
  },
  outcome: {
    stopped: 'Stopped',
    length: 'The answer reached its length limit.',
    filtered: 'The engine held the answer back (content filter).',
    empty: 'The model ended its answer without a word.',
  },
  announce: {
    sent: 'Sent',
    started: 'The answer has begun',
    complete: (words: number) => `Answer complete, ${words} ${words === 1 ? 'word' : 'words'}`,
    stopped: 'Stopped',
    copied: 'Copied',
  },
  action: {
    copy: 'Copy',
    copied: 'Copied',
    regenerate: 'Ask again',
    retry: 'Try again',
    retryIn: (seconds: string) => `Trying again in ${seconds}`,
    retryCancel: 'Do not retry',
    openConnection: 'Open connection',
  },
  stats: {
    approximately: '≈ ',
    speed: (value: string) => `${value} tok/s`,
    tokens: (value: string, count: number) => `${value} ${count === 1 ? 'token' : 'tokens'}`,
    prompt: (value: string) => `${value} in the prompt`,
    firstToken: (value: string) => `first token ${value}`,
    total: (value: string) => `total ${value}`,
  },
  requestId: 'Request',
  quote: (message: string) => `“${message}”`,
  failure: {
    offline: { title: 'This device is offline', hint: 'Your question is kept. Try again when the network is back.' },
    unreachable: { title: 'Can’t reach the gateway', hint: 'Check that it runs, and that this is its address:' },
    cors: {
      title: 'The gateway answers, but not to this page',
      hint: 'Add this page’s origin to cors.origins in the gateway’s hearth.yaml:',
    },
    mixed_content: {
      title: 'The browser will not call http:// from an https:// page',
      hint: 'Give the gateway an https:// address.',
    },
    blocked_by_page: {
      title: 'This page may not call that address',
      hint: 'Its owner lists the allowed ones in API_BASE_URLS. Add it there and restart the page’s server:',
    },
    bad_address: {
      title: 'That base URL is no web address',
      hint: 'Write it like https://gateway.example/v1, not like this:',
    },
    wrong_address: {
      title: 'Something answers there, but it is no such API',
      hint: 'Most base URLs end in /v1; this one is',
    },
    key_missing: { title: 'The gateway wants a key', hint: 'Give it one, then try again.' },
    key_rejected: {
      title: 'The gateway does not know this key',
      hint: 'Check it for missing characters, or ask for a new one.',
    },
    key_forbidden: { title: 'This key may not use that model', hint: 'Choose another model or use another key.' },
    model_not_found: { title: 'The gateway has no such model', hint: 'Choose one from the list above.' },
    model_has_no_vision: { title: 'This model cannot see pictures', hint: 'Choose a model with vision.' },
    model_for_other_work: {
      title: 'This model holds no conversations',
      hint: 'It does other work. Choose one that chats from the list above.',
    },
    picture_unsupported: {
      title: 'The gateway does not read this kind of picture',
      hint: 'Send a still PNG, JPEG or WebP.',
    },
    picture_damaged: { title: 'The picture is damaged', hint: 'Save it anew, or take another one.' },
    picture_too_large: { title: 'The picture is too large', hint: 'Send a smaller one.' },
    pictures_too_many: { title: 'These are too many pictures for one question', hint: 'Send fewer at once.' },
    picture_elsewhere: {
      title: 'The gateway fetches no pictures from elsewhere',
      hint: 'Send the picture itself instead of its address.',
    },
    content_unsupported: {
      title: 'The gateway takes texts and pictures only',
      hint: 'Leave out sounds, films and files.',
    },
    field_refused: {
      title: 'The gateway does not take an option of this request',
      hint: 'This page and the gateway may be of different versions. Reload the page.',
    },
    context_full: {
      title: 'The conversation is longer than the model can read',
      hint: 'Start a new chat, or ask something shorter.',
    },
    too_large: { title: 'The question is too large', hint: 'Send less at once.' },
    rate_limited: { title: 'Too many requests for this key', hint: 'The limit resets by itself.' },
    unavailable: { title: 'The GPU is not available right now', hint: 'Your question is kept.' },
    timed_out: { title: 'The answer took too long', hint: 'Try again, or ask something shorter.' },
    bad_request: { title: 'The gateway refused the question', hint: 'Its reason is below.' },
    broken: { title: 'Something broke on the way to the GPU', hint: 'Trying again usually helps.' },
    unexpected_answer: {
      title: 'The answer was no stream of text',
      hint: 'Check that this is the base URL of an OpenAI-compatible API:',
    },
    cut: { title: 'The answer was cut off', hint: 'The connection ended before the answer did. What came is kept.' },
    stream_error: { title: 'The answer was cut off by an error', hint: 'What came before it is kept.' },
  } satisfies Record<FailureKind, FailureText> as Record<FailureKind, FailureText>,
}

/** Every text of the page. A further language is one more object of this type. */
export type Strings = typeof en

export interface Locale {
  /** BCP 47; also the page's `lang`. */
  readonly tag: string
  readonly strings: Strings
  number(value: number, digits?: number): string
  /** Milliseconds as seconds (with a tenth below ten of them) or minutes, short. */
  duration(ms: number): string
  /** The same in whole seconds, for what counts up or down. */
  wholeSeconds(ms: number): string
}

const catalogues: Record<string, Strings> = { en }

/** The first of the wanted languages that has a catalogue; English otherwise. Tags that are none are passed over. */
export function pickLocale(wanted: readonly string[]): Locale {
  const region = wanted.filter(isLanguageTag).find((tag) => nameOf(tag) !== undefined) ?? 'en'
  const tag = nameOf(region) ?? 'en'
  return {
    tag,
    strings: catalogues[tag] ?? en,
    number: (value, digits = 0) => createFormat(region, digits).format(value),
    duration: (ms) =>
      ms < 9950 ? createFormat(region, 1, 'second').format(ms / 1000) : formatWhole(region, Math.round(ms / 1000)),
    wholeSeconds: (ms) => formatWhole(region, Math.floor(ms / 1000)),
  }
}

function formatWhole(tag: string, seconds: number): string {
  const minutes = Math.floor(seconds / 60)
  const rest = createFormat(tag, 0, 'second').format(seconds % 60)
  return minutes === 0 ? rest : `${createFormat(tag, 0, 'minute').format(minutes)} ${rest}`
}

function createFormat(tag: string, digits: number, unit?: 'second' | 'minute'): Intl.NumberFormat {
  const style: Intl.NumberFormatOptions = unit === undefined ? {} : { style: 'unit', unit, unitDisplay: 'narrow' }
  return new Intl.NumberFormat(tag, { ...style, minimumFractionDigits: digits, maximumFractionDigits: digits })
}

// Chromium under LANG=C names its language "en-US@posix", which Intl refuses.
function isLanguageTag(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length === 1
  } catch {
    return false
  }
}

// The catalogue of a language: its own, or that of the language without its region.
function nameOf(tag: string): string | undefined {
  return [tag, tag.split('-')[0] ?? tag].find((name) => Object.hasOwn(catalogues, name))
}

function ordinal(value: number): string {
  const suffix = { one: 'st', two: 'nd', few: 'rd' }[
    new Intl.PluralRules('en', { type: 'ordinal' }).select(value) as string
  ]
  return `${value}${suffix ?? 'th'}`
}
