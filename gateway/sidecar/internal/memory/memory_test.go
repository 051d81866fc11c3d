package memory

import (
	"testing"
	"testing/fstest"
)

func TestTheLimitFollowsTheContainerWithinItsBounds(t *testing.T) {
	const mib = 1 << 20
	for container, want := range map[int64]int64{
		0: 128 * mib, 4096 * mib: 128 * mib, 200 * mib: 200 * mib / 100 * 60, 128 * mib: 128 * mib / 100 * 60,
		64 * mib: 48 * mib, 80 * mib: 48 * mib, 32 * mib: 48 * mib,
	} {
		if got := Auto(container); got != want {
			t.Errorf("a container of %d MiB: %d, want %d", container/mib, got, want)
		}
	}
}

func TestTheContainerIsTheSmallestBoundOfItsGroups(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"no control groups", nil, 0},
		{"version 2, own root", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "268435456\n"}, 256 << 20},
		{"version 2, no bound", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"version 2, a parent is smaller", map[string]string{
			"proc/self/cgroup":                 "0::/pod/app\n",
			"sys/fs/cgroup/pod/app/memory.max": "max", "sys/fs/cgroup/pod/memory.max": "134217728", "sys/fs/cgroup/memory.max": "max",
		}, 128 << 20},
		{"version 1, the host's name of the group is not mounted", map[string]string{
			"proc/self/cgroup":                           "5:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "67108864\n",
		}, 64 << 20},
		{"version 1, no bound", map[string]string{
			"proc/self/cgroup":                           "3:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0},
		{"version 1 in a mixed system", map[string]string{
			"proc/self/cgroup":                           "3:memory:/\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "67108864\n",
		}, 64 << 20},
		{"the group tries to leave its mount", map[string]string{
			"proc/self/cgroup": "0::/../../etc\n", "sys/fs/cgroup/memory.max": "1048576",
		}, 1 << 20},
		{"what is no number is no bound", map[string]string{"proc/self/cgroup": "junk\n0::/\n", "sys/fs/cgroup/memory.max": "lots"}, 0},
	} {
		root := fstest.MapFS{}
		for name, text := range test.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := Container(root); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
