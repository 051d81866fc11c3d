/**
 * @typedef {object} Context
 * @property {import('./locations.mjs').Locations} at
 * @property {NodeJS.ProcessEnv} env
 * @property {import('./progress.mjs').Progress} progress
 * @property {AbortSignal | undefined} signal
 * @property {typeof import('./download.mjs').downloadWheel} downloadWheel
 * @property {typeof import('./download.mjs').downloadTarball} downloadTarball
 *
 * What a finished part offers to those who start programs: names and absolute paths.
 * @typedef {Record<string, string>} Outputs
 *
 * One thing that set-up provides. `check` is quick and changes nothing; `provide` makes it whole or throws.
 * @typedef {object} Part
 * @property {string} name
 * @property {readonly string[]} after parts that must be ready before `provide`
 * @property {readonly import('./prerequisites.mjs').Prerequisite[]} prerequisites
 * @property {(context: Context) => Promise<import('./disk.mjs').DiskNeed[]> | import('./disk.mjs').DiskNeed[]} needs
 * @property {(context: Context) => string} lockFile
 * @property {(context: Context) => Promise<Outputs | undefined>} check
 * @property {(context: Context) => Promise<void>} provide
 */

export const platform = `${process.platform}-${process.arch}`
