import type { Equivalent } from './mutants.ts'

/** Mutants that change nothing that anybody could see, each with the reason; a test holds that each is still one. */
export const equivalents: readonly Equivalent[] = []
