package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// trap counts who connects to a loopback address that no tunnel may ever reach.
func trap(t *testing.T, addr string, connects *atomic.Int64) string {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("%s cannot be listened on here: %v", addr, err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connects.Add(1)
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// disguises are ways to write an address so that some parser dials it.
func disguises(port string) []string {
	number, _ := strconv.Atoi(port)
	return []string{
		"127.0.0.1:" + port, "127.0.0.1", "localhost:" + port, "localhost", "[::1]:" + port, "[::ffff:127.0.0.1]:" + port,
		"[::ffff:7f00:1]:" + port, "127.1:" + port, "127.000.000.001:" + port, "0177.0.0.1:" + port, "0x7f.0.0.1:" + port,
		"0x7f000001:" + port, "2130706433:" + port, "2130706433", "0:" + port, "0.0.0.0:" + port, "017700000001:" + port,
		"169.254.169.254", "169.254.169.254:80", "metadata.google.internal", "metadata.google.internal:80", "10.0.0.1:80",
		"[::ffff:10.0.0.1]:80", "http://127.0.0.1:" + port + "/", "http://gpu@127.0.0.1:" + port, "gpu@127.0.0.1:" + port,
		"gpu:80@127.0.0.1:" + port, "gpu%40127.0.0.1:" + port, "%31%32%37.0.0.1:" + port, "127%2e0%2e0%2e1:" + port,
		"gpu.127.0.0.1.nip.io:" + port, "gpu:" + port, "gpu:80", "gpu/../127.0.0.1:" + port, "/gpu", "//127.0.0.1:" + port, "GPU", "-gpu", "gpu\t127.0.0.1:" + port,
		"gpu 127.0.0.1:" + port, "gpu\x00", "gpu#127.0.0.1:" + port, "gpu?127.0.0.1:" + port, "①②⑦.0.0.1:" + port, "100.100.100.100:80",
		"100.100.100.100", fmt.Sprintf("127.0.0.1:%d", number|1<<16), "home-gpu", "home-gpu:80", "100.64.0.1:80", "100.64.0.1", "*", ".", "",
	}
}

func TestNoDisguiseReachesAnythingButANamedUpstream(t *testing.T) {
	l := startLab(t)
	s := startReadySidecar(t, l.env("MESH_BULK=off"))
	var connects atomic.Int64
	port := trap(t, "127.0.0.1:0", &connects)
	targets := disguises(port)
	for _, addr := range []string{s.status, l.controlAddr, l.backend.Addr().String()} {
		targets = append(targets, addr)
	}
	if len(targets) < 30 {
		t.Fatalf("only %d targets", len(targets))
	}
	for _, target := range targets {
		if refused := s.rawConnect(t, target); refused != codes.BadRequest && refused != codes.UnknownUpstream {
			t.Errorf("CONNECT %q was answered with %q", target, refused)
		}
	}
	if made := connects.Load(); made != 0 {
		t.Errorf("%d connections to a place outside of the tailnet", made)
	}
	l.backend.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if conn, err := l.backend.AcceptTCP(); err == nil {
		t.Errorf("something reached the home: %s", conn.RemoteAddr())
	}
}

// rawConnect returns the code of the refusal, empty when there was none.
func (s *sidecar) rawConnect(t *testing.T, target string) codes.Code {
	t.Helper()
	conn, err := net.Dial("tcp", s.data)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer, _ := io.ReadAll(conn)
	for code := range codes.All() {
		if containsFold(string(answer), `"`+string(code)+`"`) {
			return code
		}
	}
	return codes.Code(answer)
}

// An upstream's host is a name to look for among the peers, whatever it looks like.
func TestAnUpstreamThatIsCalledLikeAnAddressIsNoPeer(t *testing.T) {
	l := startLab(t)
	var connects atomic.Int64
	port := trap(t, "127.0.0.1:0", &connects)
	s := startSidecar(t, l.env("MESH_BULK=off", "MESH_UPSTREAMS=a=name:127.0.0.1:"+port+",b=name:localhost:"+port+",c=name:169.254.169.254:80,d=name:2130706433:"+port+",e=name:example.com:80,f=name:100.64.0.1:80,gpu=tag:gpu:80"))
	until(t, "in the tailnet", 10*time.Second, func() bool { return s.document().State == "Running" })
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		if _, status, code := s.connect(name); status != 503 || code != codes.PeerMissing {
			t.Errorf("CONNECT %s: %d %s, want %s", name, status, code, codes.PeerMissing)
		}
	}
	if made := connects.Load(); made != 0 {
		t.Errorf("%d connections to a place outside of the tailnet", made)
	}
}
