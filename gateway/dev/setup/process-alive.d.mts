/** Whether a process of this machine exists, also when it belongs to someone else. */
export function isProcessAlive(pid: number): boolean
