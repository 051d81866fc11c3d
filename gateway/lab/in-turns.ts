/** Runs the jobs, so many at a time; rejects with the first failure once the running ones have ended. */
export async function inTurns(jobs: readonly (() => Promise<void>)[], atOnce: number): Promise<void> {
  const waiting = [...jobs]
  const work = async () => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await job()
  }
  const workers = Array.from({ length: Math.min(atOnce, jobs.length) }, work)
  const settled = await Promise.allSettled(workers)
  for (const worker of settled) if (worker.status === 'rejected') throw worker.reason
}
