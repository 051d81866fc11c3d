package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// abortLimit is the promise to the engine: it learns within this time that
// nobody waits any more.
const abortLimit = slowdown * 250 * time.Millisecond

func TestTunnels(t *testing.T) {
	l := startLab(t)
	started := time.Now()
	s := startReadySidecar(t, l.env())
	if took := time.Since(started); took > slowdown*time.Second {
		t.Errorf("ready %s after the start, want less than a second", took)
	}

	t.Run("16 MiB cross unchanged both ways at once", func(t *testing.T) { crossUnchanged(t, l, s) })
	t.Run("50 tunnels at once keep their bytes apart", func(t *testing.T) { keepApart(t, l, s) })
	t.Run("the client's half-close reaches the home, and the answer still comes", func(t *testing.T) {
		client, home := s.open("byname"), l.accept()
		io.WriteString(client, "question")
		client.CloseWrite()
		expectAll(t, home, "question")
		io.WriteString(home, "answer")
		home.Close()
		expectAll(t, client, "answer")
	})
	t.Run("the home's half-close reaches the client, and the rest of the question still goes", func(t *testing.T) {
		client, home := s.open("gpu"), l.accept()
		io.WriteString(home, "answer")
		home.CloseWrite()
		expectAll(t, client, "answer")
		io.WriteString(client, "late question")
		client.CloseWrite()
		expectAll(t, home, "late question")
	})
	t.Run("a client that leaves a stream is felt at home within 250 ms", func(t *testing.T) {
		for _, reset := range []bool{false, true} {
			client, home := s.open("gpu"), l.accept()
			stream(home)
			expectSome(t, client)
			if reset {
				client.SetLinger(0)
			}
			client.Close()
			expectEnd(t, home, abortLimit)
		}
	})
	t.Run("a home that cuts a stream is felt by the client within 250 ms", func(t *testing.T) {
		client, home := s.open("gpu"), l.accept()
		io.WriteString(home, "half an ans")
		expectSome(t, client)
		home.SetLinger(0)
		home.Close()
		expectEnd(t, client, abortLimit)
		client.Close()
	})
	t.Run("all tunnels are closed afterwards", func(t *testing.T) {
		until(t, "no tunnel is open", 5*time.Second, func() bool { return s.document().Tunnels.Open == 0 })
	})
	t.Run("what cannot be opened is refused with its code", func(t *testing.T) {
		for _, test := range []struct {
			name   string
			status int
			code   codes.Code
		}{
			{"nosuch", 404, codes.UnknownUpstream},
			{"nobody", 503, codes.PeerMissing},
			{"shut", 502, codes.Refused},
			{"127.0.0.1:22", 400, codes.BadRequest},
		} {
			if _, status, code := s.connect(test.name); status != test.status || code != test.code {
				t.Errorf("CONNECT %s: %d %s, want %d %s", test.name, status, code, test.status, test.code)
			}
		}
	})
	t.Run("status, probes and metrics tell what is", func(t *testing.T) { tellWhatIs(t, s) })
}

func crossUnchanged(t *testing.T, l *lab, s *sidecar) {
	client, home := s.open("gpu"), l.accept()
	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{client, home}, {home, client}} {
		both.Go(func() {
			want, got := sha256.New(), sha256.New()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				io.Copy(io.MultiWriter(way[0], want), io.LimitReader(rand.Reader, 16<<20))
				way[0].CloseWrite()
			}()
			n, err := io.Copy(got, way[1])
			<-sent
			if err != nil || n != 16<<20 || !bytes.Equal(want.Sum(nil), got.Sum(nil)) {
				t.Errorf("%d bytes came, %v; hashes equal: %v", n, err, bytes.Equal(want.Sum(nil), got.Sum(nil)))
			}
		})
	}
	both.Wait()
}

func keepApart(t *testing.T, l *lab, s *sidecar) {
	const tunnels = 50
	go func() {
		for range tunnels {
			home := l.accept()
			go func() { io.Copy(home, home); home.CloseWrite() }()
		}
	}()
	var all sync.WaitGroup
	for number := range tunnels {
		client := s.open("gpu")
		all.Go(func() {
			want := bytes.Repeat([]byte(fmt.Sprintf("tunnel %02d|", number)), 20_000)
			go func() { client.Write(want); client.CloseWrite() }()
			got, err := io.ReadAll(client)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("tunnel %d: %d bytes of %d, equal: %v, %v", number, len(got), len(want), bytes.Equal(got, want), err)
			}
		})
	}
	all.Wait()
}

func tellWhatIs(t *testing.T, s *sidecar) {
	document := s.document()
	gpu := document.Upstreams[0]
	if document.State != "Running" || document.Problem != nil || document.Self == nil || document.Self.Tags[0] != "tag:gateway" || document.Self.HomeDerp != "lab" {
		t.Errorf("status: %+v, self %+v", document, document.Self)
	}
	if gpu.Node != "home-gpu" || !gpu.Online || gpu.Path != "direct" || gpu.RTTMs == nil || gpu.Dials.OK < 50 {
		t.Errorf("upstream: %+v", gpu)
	}
	for path, want := range map[string]int{"/livez": 200, "/startupz": 200, "/readyz": 200, "/localapi/v0/status": 404, "/": 404} {
		if got := s.statusCode(path); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	_, metrics := s.get("/metrics")
	for _, part := range []string{"meshlink_tunnels_open 0\n", `meshlink_tunnels_refused_total{code="mesh_peer_missing"} 1`, "meshlink_bytes_total{upstream=\"gpu\",direction=\"sent\"}",
		`meshlink_upstream_path{upstream="gpu",path="direct"} 1`, `meshlink_upstream_rtt_seconds{upstream="gpu"} 0.`, "meshlink_freezes_total 0\n", `meshlink_pings_total{result="ok"}`, "tailscaled_outbound_bytes_total"} {
		if !strings.Contains(metrics, part) {
			t.Errorf("/metrics has no %s in:\n%s", part, metrics)
		}
	}
}

func TestTunnelsAboveTheCapAreRefused(t *testing.T) {
	l := startLab(t)
	s := startReadySidecar(t, l.env("MESH_MAX_TUNNELS=2"))
	first := s.open("gpu")
	s.open("gpu")
	if _, status, code := s.connect("gpu"); status != 503 || code != codes.TunnelsFull {
		t.Errorf("the third of two tunnels: %d %s, want 503 %s", status, code, codes.TunnelsFull)
	}
	first.Close()
	l.accept().Close()
	until(t, "a place is free again", 5*time.Second, func() bool {
		conn, _, _ := s.connect("gpu")
		return conn != nil
	})
}

func expectAll(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(conn); string(got) != want || err != nil {
		t.Fatalf("read %q, %v; want %q and a clean end", got, err, want)
	}
}

func expectSome(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatalf("no byte came: %v", err)
	}
}

// expectEnd wants the far side's going to be visible within limit.
func expectEnd(t *testing.T, conn net.Conn, limit time.Duration) {
	t.Helper()
	started := time.Now()
	conn.SetReadDeadline(started.Add(5 * time.Second))
	_, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the end was not felt within 5 s")
	}
	if took := time.Since(started); took > limit {
		t.Errorf("the end was felt after %s, want at most %s", took, limit)
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("unexpected error %v", err)
	}
}

// stream writes a chunk every 10 ms until the connection fails.
func stream(conn net.Conn) {
	go func() {
		for {
			if _, err := conn.Write([]byte("data: token\n\n")); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
}
