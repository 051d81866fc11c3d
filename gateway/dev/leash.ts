import { spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * A shell of its own session that knows the process groups in hand and ends them when its standard input does: the one
 * thing that still acts when this program is killed.
 */
export interface Leash {
  add(group: number): void
  remove(group: number): void
  /** Ends the shell, and with it every group that was not removed. */
  close(): Promise<void>
}

const script = `
groups=
while read -r op group; do
  kept=
  for g in $groups; do [ "$g" = "$group" ] || kept="$kept $g"; done
  case $op in add) groups="$kept $group" ;; *) groups=$kept ;; esac
done
[ -n "$groups" ] || exit 0
for g in $groups; do kill -s TERM -- "-$g" 2>/dev/null; done
sleep 2
for g in $groups; do kill -s KILL -- "-$g" 2>/dev/null; done
`

/** Starts the shell. The caller closes it after its processes have ended. */
export function openLeash(): Leash {
  const shell = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  const ended = once(shell, 'exit')
  // Writing to a shell that was killed must not end the chain.
  shell.stdin.on('error', () => {})
  shell.unref()
  return {
    add: (group) => void shell.stdin.write(`add ${group}\n`),
    remove: (group) => void shell.stdin.write(`remove ${group}\n`),
    async close() {
      shell.ref()
      shell.stdin.end()
      await ended
    },
  }
}
