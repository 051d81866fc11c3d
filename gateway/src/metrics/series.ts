/** The labels of one series, by name. */
export type Labels<Name extends string> = Readonly<Record<Name, string>>

/** Series of one metric. What comes beyond them is counted with every label as `other`, so that no caller can fill the memory. */
export const seriesMax = 500

/** What one metric keeps for each set of labels, made when it is first asked for. */
export class Series<Name extends string, Value> {
  readonly #labelNames: readonly Name[]
  readonly #create: (labels: Labels<Name>) => Value
  readonly #all = new Map<string, { readonly labels: Labels<Name>; readonly value: Value }>()

  constructor(labelNames: readonly Name[], create: (labels: Labels<Name>) => Value) {
    this.#labelNames = labelNames
    this.#create = create
  }

  at(labels: Labels<Name>): Value {
    const known = this.#all.get(this.#keyOf(labels))
    if (known !== undefined) return known.value
    return this.#all.size < seriesMax ? this.#add(labels) : this.#other()
  }

  /** In the order in which they were first asked for. */
  entries(): readonly { readonly labels: Labels<Name>; readonly value: Value }[] {
    return [...this.#all.values()]
  }

  #other(): Value {
    const labels = Object.fromEntries(this.#labelNames.map((name) => [name, 'other'])) as Record<Name, string>
    return this.#all.get(this.#keyOf(labels))?.value ?? this.#add(labels)
  }

  #add(labels: Labels<Name>): Value {
    // In the order of the names, whatever the order of whoever asks.
    const own = Object.fromEntries(this.#labelNames.map((name) => [name, labels[name]])) as Record<Name, string>
    const value = this.#create(own)
    this.#all.set(this.#keyOf(labels), { labels: own, value })
    return value
  }

  /** No label value holds a line break: they come from tables of ours and names in the config. */
  #keyOf(labels: Labels<Name>): string {
    let key = ''
    for (const name of this.#labelNames) key += `${labels[name]}\n`
    return key
  }
}
