import { bulk } from './bulk.ts'
import { codes } from './codes.ts'
import { controlDown } from './control-down.ts'
import { derpDown } from './derp-down.ts'
import { freeze } from './freeze.ts'
import { keys } from './keys.ts'
import type { Scenario } from './scenario.ts'
import { sidecarKills } from './sidecar-kills.ts'

/** Every scenario, in the order of the list. */
export const scenarios: readonly Scenario[] = [codes, keys, bulk, freeze, derpDown, controlDown, sidecarKills]
