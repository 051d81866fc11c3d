package main

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What meshlink may take of a small container. Its size counts for the start of
// a new instance, its memory for what the gateway beside it is left with.
const (
	binaryBytesMax = 24_000_000
	idleKiBMax     = 40_000
	busyKiBMax     = 130_000

	nobody = 65534
)

func TestTheProgramIsStaticAndSmall(t *testing.T) {
	path := filepath.Join(programs, "meshlink")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > binaryBytesMax {
		t.Errorf("the program has %d bytes, want at most %d", info.Size(), binaryBytesMax)
	}
	program, err := elf.Open(path)
	if err != nil {
		t.Skipf("no ELF program on this system: %v", err)
	}
	defer program.Close()
	if program.Section(".dynamic") != nil {
		t.Error("the program is linked dynamically: an empty image could not run it")
	}
}

// memory returns a value of /proc/PID/status in KiB: VmRSS now, VmHWM at its peak.
func (p *process) memory(name string) int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Skipf("this system does not tell a process's memory: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, name+": %d kB", &kib); n == 1 {
			return kib
		}
	}
	p.t.Fatalf("no %s in %s", name, text)
	return 0
}

func TestMemoryStaysSmallWhileAGigabyteGoesHomeUnchanged(t *testing.T) {
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	if idle := s.memory("VmRSS"); idle > idleKiBMax {
		t.Errorf("idle: %d KiB, want at most %d", idle, idleKiBMax)
	}
	if testing.Short() {
		t.Skip("a gigabyte takes about half a minute: left out by -short")
	}
	const size = 1 << 30
	client, home := s.open("gpu"), l.accept()
	began := time.Now()
	sent := sha256.New()
	go func() {
		// The hash is read after the home saw the end, which comes after CloseWrite.
		io.Copy(io.MultiWriter(sent, client), io.LimitReader(rand.NewChaCha8([32]byte{1}), size))
		client.CloseWrite()
	}()
	received := sha256.New()
	home.SetDeadline(time.Now().Add(2 * time.Minute))
	n, err := io.Copy(received, home)
	if err != nil || n != size || !bytes.Equal(sent.Sum(nil), received.Sum(nil)) {
		t.Errorf("%d of %d bytes came, %v; hashes equal: %v", n, size, err, bytes.Equal(sent.Sum(nil), received.Sum(nil)))
	}
	home.Close()
	peak := s.memory("VmHWM")
	t.Logf("1 GiB in %s, at most %d KiB", time.Since(began).Round(time.Millisecond), peak)
	if peak > busyKiBMax {
		t.Errorf("at most %d KiB during the upload, want at most %d", peak, busyKiBMax)
	}
}

func TestTheProgramRefusesToServeTunnelsBeyondLoopback(t *testing.T) {
	p := start(t, "meshlink", []string{"MESH_UPSTREAMS=gpu=tag:gpu:80", "MESH_ADDR=0.0.0.0:0"})
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		t.Fatal("it runs with MESH_ADDR=0.0.0.0:0")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != exitConfig || !strings.Contains(p.err.String(), "loopback") {
		t.Errorf("exit code %d after %s, want %d", code, p.err.String(), exitConfig)
	}
}

func TestTheProgramNeedsNoRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become nobody; as another user every test runs without rights")
	}
	if err := os.Chmod(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	l := startLab(t)
	env := l.env("TMPDIR=" + os.TempDir())
	s := awaitSidecar(startAs(t, &syscall.Credential{Uid: nobody, Gid: nobody}, "meshlink", env, "--lab"))
	until(t, "meshlink is ready as nobody", 10*time.Second, func() bool { return s.statusCode("/readyz") == 200 })
	client, home := s.open("gpu"), l.accept()
	io.WriteString(client, "question")
	client.CloseWrite()
	expectAll(t, home, "question")
	info, err := os.Stat(fmt.Sprintf("/proc/%d", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != nobody {
		t.Errorf("it runs as user %d, want %d", owner, nobody)
	}
	if _, code := s.end(syscall.SIGTERM, 15*time.Second); code != exitOK {
		t.Errorf("exit code %d after SIGTERM, want %d", code, exitOK)
	}
}
