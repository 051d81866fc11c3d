import type { Bench } from './bench.ts'

/** A figure, a word or a small group of them, as it goes into the JSON line. */
export type Finding = string | number | boolean | null | { readonly [name: string]: Finding }

/** What one arm of a scenario came to in this run. */
export type Arm = Readonly<Record<string, Finding>>

/** One sentence that the verdict rests on. */
export interface Claim {
  readonly text: string
  readonly holds: boolean
}

export interface Outcome {
  /** With the cure switched off. */
  readonly plain: Arm
  /** As it is delivered. */
  readonly cured: Arm
  /** The scenario passes when all of them hold. */
  readonly claims: readonly Claim[]
  /** Why nothing could be measured on this machine. */
  readonly skipped?: string
}

/** A number on the command line, with its bounds. */
export interface NumberOption {
  readonly about: string
  readonly fallback: number
  readonly min: number
  readonly max: number
}

export type OptionName = 'seconds' | 'kills'

export interface Context {
  readonly bench: Bench
  /** The value of an option that the scenario declares. */
  option(name: OptionName): number
  /** Tells a person what is being done; nothing of it is part of the result. */
  say(text: string): void
}

/** One failure of the road, made for real, with a cure switched off and on in one run. */
export interface Scenario {
  readonly name: string
  readonly about: string
  /** What the two arms are, for the heads of the table. */
  readonly arms: { readonly plain: string; readonly cured: string }
  readonly options?: Readonly<Partial<Record<OptionName, NumberOption>>>
  /** After this long it counts as failed. */
  limitMs(option: (name: OptionName) => number): number
  /** Throws where the scenery itself does not come up. */
  run(context: Context): Promise<Outcome>
}

/** Whether an outcome is a pass: it was measured and nothing that it claims is wrong. */
export function passes(outcome: Outcome): boolean {
  return outcome.skipped === undefined && outcome.claims.length > 0 && outcome.claims.every(({ holds }) => holds)
}
