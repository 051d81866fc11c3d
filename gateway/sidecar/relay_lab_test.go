package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"
)

// neverDirect leaves only the relay between two nodes.
const neverDirect = "TS_DEBUG_NEVER_DIRECT_UDP=1"

func TestAWayByTheRelayAloneIsCalledThatAndWarnedOf(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	expectRelayed(t, l, neverDirect)
	l.home.end(syscall.SIGTERM, 5*time.Second)
	l.startHome("--no-direct")
	expectRelayed(t, l)
}

func expectRelayed(t *testing.T, l *lab, env ...string) {
	t.Helper()
	s := startReadySidecar(t, l.env(env...))
	client, home := s.open("gpu"), l.accept()
	io.WriteString(home, "by the relay")
	home.Close()
	expectAll(t, client, "by the relay")
	until(t, "the path is called derp", 10*time.Second, func() bool {
		upstream := s.document().Upstreams[0]
		return upstream.Path == "derp" && upstream.Derp == "lab" && upstream.Endpoint == ""
	})
	if warnings := s.document().Warnings; !slices.ContainsFunc(warnings, func(w Warning) bool { return w.Code == "derp_only" && w.Fix != "" }) {
		t.Errorf("warnings are %+v, want derp_only", warnings)
	}
	s.end(syscall.SIGTERM, stopLimit)
}

func TestANodeThatMayOnlyUseTCP443GoesByTheRelay(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	l.fault("capability?node=hearth-gateway&name=only-tcp-443")
	s := startReadySidecar(t, l.env())
	l.accepting()
	until(t, "the path is called derp", 20*time.Second, func() bool {
		s.open("gpu")
		return s.document().Upstreams[0].Path == "derp"
	})
}

// A relay that restarts cuts nothing that TCP cannot mend: a stream goes on
// without a lost or doubled byte, or it is reset. It never just stops.
func TestAStreamByTheRelayGoesOnWhenTheRelayRestarts(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env(neverDirect))
	client, home := s.open("gpu"), l.accept()
	stopped := make(chan struct{})
	defer close(stopped)
	go count(home, stopped)
	expectCount(t, client, 0, 20)
	l.fault("derp")
	l.fault("derp?on=false")
	expectCount(t, client, 20, 2000)
}

// count writes 0, 1, 2, … as four bytes each, one every few milliseconds.
func count(conn net.Conn, stopped <-chan struct{}) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for number := uint32(0); ; number++ {
		if _, err := conn.Write(binary.BigEndian.AppendUint32(nil, number)); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-stopped:
			return
		}
	}
}

func expectCount(t *testing.T, conn net.Conn, from, to uint32) {
	t.Helper()
	var read [4]byte
	for number := from; number < to; number++ {
		conn.SetReadDeadline(time.Now().Add(15 * time.Second))
		if _, err := io.ReadFull(conn, read[:]); errors.Is(err, io.EOF) {
			t.Fatalf("the stream ended as if it were whole before %d", number)
		} else if err != nil {
			t.Fatalf("number %d: %v", number, err)
		}
		if got := binary.BigEndian.Uint32(read[:]); got != number {
			t.Fatalf("%d came where %d was due", got, number)
		}
	}
}

func TestTunnelsSurviveARelayThatMovesToAnotherRegion(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	client, home := s.open("gpu"), l.accept()
	l.fault("derp-map?region=2")
	io.WriteString(home, "still open")
	home.Close()
	expectAll(t, client, "still open")
	client, home = s.open("gpu"), l.accept()
	io.WriteString(home, "open again")
	home.Close()
	expectAll(t, client, "open again")
}
