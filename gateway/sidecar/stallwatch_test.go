package main

import (
	"io"
	"net"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// tooSmallAWire loses every packet of full size.
const tooSmallAWire = "1250"

func TestATunnelWhoseLargePacketsAreLostIsCutAsABlackHole(t *testing.T) {
	t.Parallel()
	l := startLab(t, "--wire-bytes-max", tooSmallAWire)
	l.holding()
	watching := startReadySidecar(t, l.env())
	blind := startReadySidecar(t, l.env(), "--without", "bulk")
	_, hangingHead := blind.openAndWrite(64 << 10)
	_, smallHead := watching.openAndWrite(100)
	ends := map[string]<-chan struct{}{}
	for _, size := range []int{64 << 10, 32 << 20} { // one fits into the buffers on the way, one does not
		conn, id := watching.openAndWrite(size)
		ends[id] = gone(conn)
	}
	for id, end := range ends {
		select {
		case <-end:
		case <-time.After(30 * time.Second):
			t.Fatal("still open after 30 s")
		}
		if _, end := watching.tunnel(id); end.State != "cut" || end.Code != codes.Blackhole {
			t.Errorf("the cut tunnel is %+v, want %s", end, codes.Blackhole)
		}
	}
	if _, end := watching.tunnel(smallHead); end.State != "open" {
		t.Errorf("a tunnel with small packets is %+v, want open", end)
	}
	if _, end := blind.tunnel(hangingHead); end.State != "open" {
		t.Errorf("without bulk probes the tunnel is %+v, want it hanging: else this test proves nothing", end)
	}
}

// gone tells when a connection has ended. Its writer may be the one who feels the
// reset, so that there is nothing left to see for a reader.
func gone(conn net.Conn) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, conn)
	}()
	return ended
}

// openAndWrite opens a tunnel and sends as much, if it can.
func (s *sidecar) openAndWrite(size int) (conn net.Conn, id string) {
	s.t.Helper()
	tcp, head := s.openNamed("gpu")
	go tcp.Write(make([]byte, size))
	return tcp, head.Get("Mesh-Tunnel")
}

// holding lets the home's backend take whatever comes and say nothing.
func (l *lab) holding() {
	go func() {
		for {
			conn, err := l.backend.Accept()
			if err != nil {
				return
			}
			l.t.Cleanup(func() { conn.Close() })
			go io.Copy(io.Discard, conn)
		}
	}()
}
