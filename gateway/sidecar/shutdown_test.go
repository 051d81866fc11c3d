package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// stopLimit leaves half a second of the platform's ten.
const stopLimit = 9500 * time.Millisecond

func TestSIGTERMLetsAnOpenTunnelFinishAndRefusesNewOnes(t *testing.T) {
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	client, home := s.open("gpu"), l.accept()
	s.cmd.Process.Signal(syscall.SIGTERM)
	until(t, "/readyz is off", time.Second, func() bool { return s.statusCode("/readyz") == 503 })
	if _, status, code := s.connect("gpu"); status != 503 || code != codes.Draining {
		t.Errorf("a new tunnel during the drain: %d %s, want 503 %s", status, code, codes.Draining)
	}
	io.WriteString(home, "the end of the answer")
	home.Close()
	expectAll(t, client, "the end of the answer")
	client.Close()
	if took, code := s.end(syscall.SIGTERM, stopLimit); code != 0 || took > slowdown*2*time.Second {
		t.Errorf("ended %s after the last tunnel with exit code %d, want soon and 0", took, code)
	}
}

func TestSIGTERMEndsWithinItsBudgetWithAHangingTunnelAndControlDead(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	client, head := s.openNamed("gpu")
	l.accept()
	l.control.kill()
	reason := make(chan TunnelEnd, 1)
	go func() {
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the cut tunnel ended with %v, want a reset: a truncated answer must not look whole", err)
		}
		_, end := s.tunnel(head.Get("Mesh-Tunnel"))
		reason <- end
	}()
	took, code := s.end(syscall.SIGTERM, 12*time.Second)
	if took > stopLimit || code != 0 {
		t.Errorf("ended after %s with exit code %d, want %s and 0", took, code, stopLimit)
	}
	if end := <-reason; end.State != "cut" || end.Code != codes.Draining {
		t.Errorf("the cut tunnel is %+v, want %s", end, codes.Draining)
	}
}

func TestSIGTERMEndsAtOnceWhenNothingIsOpen(t *testing.T) {
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	if took, code := s.end(syscall.SIGTERM, stopLimit); took > slowdown*time.Second || code != 0 {
		t.Errorf("ended after %s with exit code %d, want less than 1 s and 0", took, code)
	}
}

func TestSIGTERMEndsSoonBeforeTheTailnetWasEverJoined(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	l.control.kill()
	s := startSidecar(t, l.env())
	s.awaitCode("gpu", codes.ControlUnreachable, 5*time.Second)
	if took, code := s.end(syscall.SIGTERM, stopLimit); took > slowdown*2*time.Second || code != 0 {
		t.Errorf("ended after %s with exit code %d, want less than 2 s and 0", took, code)
	}
}

func TestTheEndOfStandardInputStopsAChildInOrder(t *testing.T) {
	l := startLab(t)
	s := startReadySidecar(t, l.env(), "--exit-with-parent")
	s.stdin.Close()
	select {
	case <-s.ended:
	case <-time.After(stopLimit):
		t.Fatal("meshlink outlived its parent")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(s.err.String(), "standard input ended") {
		t.Errorf("exit code %d", code)
	}
}

func TestABadConfigurationEndsWithCodeThreeAndListsEveryProblem(t *testing.T) {
	p := start(t, "meshlink", []string{"MESH_ADDR=0.0.0.0:1", "TS_TAGS=nope", "TS_AUTHKEY=" + labKey}, "--lab")
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		t.Fatal("meshlink runs with a bad configuration")
	}
	said := p.err.String()
	if p.cmd.ProcessState.ExitCode() != exitConfig || !strings.Contains(said, "MESH_ADDR") || !strings.Contains(said, "TS_TAGS") ||
		!strings.Contains(said, "MESH_UPSTREAMS") || !strings.Contains(said, "TS_CONTROL_URL") {
		t.Errorf("exit code %d, said %s", p.cmd.ProcessState.ExitCode(), said)
	}
}

func TestNothingIsLeftOnDiskAfterAStopInOrder(t *testing.T) {
	l := startLab(t)
	dir := t.TempDir()
	s := startReadySidecar(t, l.env("MESH_STATE_DIR="+dir+"/state"))
	s.end(syscall.SIGTERM, stopLimit)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
