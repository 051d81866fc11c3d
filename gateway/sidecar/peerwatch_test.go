package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// lostLimit is the promise: so long after its death a peer's tunnels are cut.
const lostLimit = 15 * time.Second

// openNamed opens a tunnel and returns the headers of the answer too.
func (s *sidecar) openNamed(name string) (*net.TCPConn, http.Header) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\n\r\n", name)
	conn.SetReadDeadline(time.Now().Add(25 * time.Second))
	defer conn.SetReadDeadline(time.Time{})
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("CONNECT %s: %+v, %v", name, response, err)
	}
	return conn.(*net.TCPConn), response.Header
}

func (s *sidecar) tunnel(id string) (int, TunnelEnd) {
	s.t.Helper()
	status, body := s.get("/v1/tunnels/" + id)
	var end TunnelEnd
	if err := json.Unmarshal([]byte(body), &end); err != nil {
		s.t.Fatalf("/v1/tunnels/%s: %v in %s", id, err, body)
	}
	return status, end
}

func TestTheAnswerSaysWhichTunnelItIsAndByWhichWay(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	l.accepting()
	until(t, "the way is direct", 10*time.Second, func() bool { return s.document().Upstreams[0].Path == "direct" })
	ids := map[string]bool{}
	for range 3 {
		_, head := s.openNamed("gpu")
		ids[head.Get("Mesh-Tunnel")] = true
		if head.Get("Mesh-Path") != "direct" || head.Get("Mesh-Rtt-Ms") == "" || head.Get("Mesh-Derp") != "" {
			t.Errorf("headers %v, want a direct way with its round trip", head)
		}
	}
	if len(ids) != 3 || ids[""] {
		t.Errorf("three tunnels have the ids %v", ids)
	}
	conn, head := s.openNamed("gpu")
	relayed := startReadySidecar(t, l.env(neverDirect))
	until(t, "the way by the relay is named", 10*time.Second, func() bool {
		_, head := relayed.openNamed("gpu")
		return head.Get("Mesh-Path") == "derp" && head.Get("Mesh-Derp") == "lab"
	})
	conn.Close()
	until(t, "a tunnel that ended by itself is forgotten", 5*time.Second, func() bool {
		status, end := s.tunnel(head.Get("Mesh-Tunnel"))
		return status == 404 && end.State == "unknown"
	})
}

// reset reports when the connection is reset; a clean end is an error.
func reset(t *testing.T, conn net.Conn) <-chan time.Time {
	ended := make(chan time.Time, 1)
	conn.SetReadDeadline(time.Time{})
	go func() {
		_, err := io.Copy(io.Discard, conn)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the tunnel ended with %v, want a reset", err)
		}
		ended <- time.Now()
	}()
	return ended
}

func TestADeadHomesTunnelsAreCutAndWithoutTheWatchTheyHang(t *testing.T) {
	t.Parallel()
	for name, silence := range map[string]func(*lab){
		"control tells of the death": func(*lab) {},
		"control knows of no death":  func(l *lab) { l.fault("hold-streams") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLab(t)
			s := startReadySidecar(t, l.env())
			control := startReadySidecar(t, l.env(), "--without", "peer-watch")
			streaming, head := s.openNamed("gpu")
			stream(l.accept())
			expectSome(t, streaming)
			waiting, waitingHead := s.openNamed("gpu")
			l.accept()
			_, hangingHead := control.openNamed("gpu")
			l.accept()
			if status, end := s.tunnel(head.Get("Mesh-Tunnel")); status != 200 || end.State != "open" {
				t.Errorf("an open tunnel is %d %+v", status, end)
			}
			silence(l)
			ends := []<-chan time.Time{reset(t, streaming), reset(t, waiting)}
			l.home.kill()
			died := time.Now()
			for _, end := range ends {
				select {
				case at := <-end:
					t.Logf("cut %s after the death", at.Sub(died).Round(time.Millisecond))
				case <-time.After(time.Until(died.Add(lostLimit))):
					t.Fatalf("still open %s after the death", lostLimit)
				}
			}
			for _, head := range []http.Header{head, waitingHead} {
				status, end := s.tunnel(head.Get("Mesh-Tunnel"))
				if status != 200 || end.State != "cut" || end.Code != codes.PeerLost || end.Message == "" || end.Upstream != "gpu" {
					t.Errorf("a cut tunnel is %d %+v", status, end)
				}
			}
			if _, end := control.tunnel(hangingHead.Get("Mesh-Tunnel")); end.State != "open" {
				t.Errorf("without the watch the tunnel is %+v, want it hanging: else this test proves nothing", end)
			}
			if _, metrics := s.get("/metrics"); !strings.Contains(metrics, `meshlink_tunnels_cut_total{code="mesh_peer_lost"} 2`) {
				t.Error("/metrics does not count the cut tunnels")
			}
		})
	}
}

// A restarted home answers pings again before anybody misses it, but knows nothing
// of its old connections.
func TestAHomeThatRestartsQuicklyLeavesNoTunnelHanging(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	waiting, _ := s.openNamed("gpu")
	l.accept()
	ended := gone(waiting)
	l.home.kill()
	l.startHome()
	back := time.Now()
	select {
	case <-ended:
		t.Logf("cut %s after the return", time.Since(back).Round(time.Millisecond))
	case <-time.After(lostLimit):
		t.Fatalf("still open %s after the return", lostLimit)
	}
	l.accepting()
	s.open("gpu")
}

func TestAPeerThatChangesItsPathKeepsItsTunnels(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	client, _ := s.openNamed("gpu")
	home := l.accept()
	stillThere := func() {
		t.Helper()
		io.WriteString(home, "x")
		expectSome(t, client)
	}
	for _, flip := range []struct{ fault, path string }{
		{"capability?node=hearth-gateway&name=only-tcp-443", "derp"},
		{"capability?node=hearth-gateway&name=only-tcp-443&on=false", "direct"},
	} {
		l.fault(flip.fault)
		until(t, "the way becomes "+flip.path, 40*time.Second, func() bool {
			s.warm("?upstream=gpu")
			return s.document().Upstreams[0].Path == flip.path
		})
		stillThere()
	}
	for _, fault := range []string{"derp-map?region=2", "derp", "derp?on=false", "drop-streams", "drop-streams?on=false"} {
		l.fault(fault)
		pauseFor(t.Context(), watchAskAfter) // long enough to be asked about
		stillThere()
	}
	l.control.kill()
	pauseFor(t.Context(), lostLimit)
	stillThere()
}
