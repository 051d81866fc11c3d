// Package memory finds how much memory the process may use.
package memory

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

const (
	// Most is enough for full speed: with less the collector works more, with more
	// nothing gets faster.
	Most = 128 << 20
	// Least is what two busy tunnels need.
	Least = 48 << 20

	shareOfContainer = 60 // percent; the rest is for stacks, sockets and the program itself
	// unlimited: version 1 writes its "no limit" as the largest number of pages.
	unlimited = 1 << 60
)

// Auto returns the soft limit for a process in a container of the given size in
// bytes; zero means that there is no bound.
func Auto(container int64) int64 {
	if container <= 0 {
		return Most
	}
	return max(Least, min(Most, container/100*shareOfContainer))
}

// Container returns the memory of the container in bytes, or zero when nothing
// bounds it: the smallest bound of the process's control group (version 2 or 1)
// and of all groups above it. The file system is the one mounted at "/".
func Container(root fs.FS) int64 {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	var smallest int64
	for line := range strings.Lines(string(groups)) {
		file, group, found := limitFile(strings.TrimSpace(line))
		if !found {
			continue
		}
		for group = path.Clean("/" + group); ; group = path.Dir(group) {
			if limit := readLimit(root, path.Join(path.Dir(file), group, path.Base(file))); limit > 0 && (smallest == 0 || limit < smallest) {
				smallest = limit
			}
			if group == "/" {
				break
			}
		}
	}
	return smallest
}

// limitFile reads a line HIERARCHY:CONTROLLERS:GROUP and returns the file of the
// root group. A container often sees the host's name of its group but its own
// group as the root, so the walk up to the root finds it in every case.
func limitFile(line string) (file, group string, found bool) {
	hierarchy, rest, _ := strings.Cut(line, ":")
	controllers, group, ok := strings.Cut(rest, ":")
	switch {
	case !ok:
		return "", "", false
	case hierarchy == "0" && controllers == "":
		return "sys/fs/cgroup/memory.max", group, true
	}
	for controller := range strings.SplitSeq(controllers, ",") {
		if controller == "memory" {
			return "sys/fs/cgroup/memory/memory.limit_in_bytes", group, true
		}
	}
	return "", "", false
}

func readLimit(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit >= unlimited { // "max"
		return 0
	}
	return limit
}
