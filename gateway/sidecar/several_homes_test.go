package main

import (
	"net"
	"testing"
	"time"
)

// startSecondHome brings another home with the same tag, and returns its backend.
func (l *lab) startSecondHome(flags ...string) (*process, *net.TCPListener) {
	l.t.Helper()
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { backend.Close() })
	home := start(l.t, "lab", nil, append([]string{"home", "--control-url", l.url, "--auth-key", labKey, "--hostname", "home-two", "--tags", "tag:gpu",
		"--dir", l.t.TempDir(), "--forward", "80=" + backend.Addr().String()}, flags...)...)
	home.ready("ready", &home.out)
	return home, backend.(*net.TCPListener)
}

func TestOfSeveralHomesOneThatIsOnlineIsTakenAndTheOthersAreShown(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	second, _ := l.startSecondHome()
	homes := map[string]*process{"home-gpu": l.home, "home-two": second}
	s := startReadySidecar(t, l.env("MESH_UPSTREAMS=gpu=tag:gpu:80", "MESH_BULK=off"))
	until(t, "both homes are measured", 10*time.Second, func() bool {
		s.warm("")
		found := s.document().Upstreams[0].Candidates
		return len(found) == 2 && found[0].RTTMs != nil && found[1].RTTMs != nil
	})
	first := s.document().Upstreams[0]
	if first.Candidates[0].Node != first.Node {
		t.Errorf("in use is %s, first shown is %s", first.Node, first.Candidates[0].Node)
	}
	homes[first.Node].kill()
	until(t, "the other home took over", 10*time.Second, func() bool {
		now := s.document().Upstreams[0]
		return now.Node == first.Candidates[1].Node && now.Online && !now.Candidates[1].Online
	})
	began := time.Now()
	s.open("gpu")
	if took := time.Since(began); took > time.Second {
		t.Errorf("the tunnel to the other home took %s", took)
	}
}
