package main

import (
	"net"
	"slices"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

func TestANodeThatWaitsForApprovalSaysSoAndJoinsOnceApproved(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	l.fault("approval")
	s := startSidecar(t, l.env())
	s.awaitCode("gpu", codes.NeedsApproval, 10*time.Second)
	if problem := s.document().Problem; problem == nil || problem.Code != codes.NeedsApproval {
		t.Errorf("status: %+v", problem)
	}
	l.fault("approve?node=hearth-gateway")
	until(t, "the approved node is ready", 10*time.Second, func() bool { return s.statusCode("/readyz") == 200 })
	if joins := s.document().Self.Joins; joins != 1 {
		t.Errorf("the approved node joined %d times, want once", joins)
	}
}

func TestAControlPlaneThatAsksToWaitIsCalledBusyAndJoinedLater(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	l.fault("rate-limit?retry-after=1")
	s := startSidecar(t, l.env())
	s.awaitCode("gpu", codes.ControlBusy, 10*time.Second)
	l.fault("rate-limit?on=false")
	until(t, "the sidecar is let in", 10*time.Second, func() bool { return s.statusCode("/readyz") == 200 })
}

func TestANodeWithoutTagsJoinsAndShowsThatItHasNone(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env("TS_TAGS="))
	if tags := s.document().Self.Tags; len(tags) != 0 {
		t.Errorf("tags are %v, want none", tags)
	}
}

func TestAnExpiredNodeKeyIsReplacedByItself(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	before := s.document().Self.IPs
	l.fault("expire?node=hearth-gateway")
	until(t, "meshlink joined as a new node", 15*time.Second, func() bool {
		self := s.document().Self
		return self != nil && self.Joins == 2 && s.statusCode("/readyz") == 200
	})
	if after := s.document().Self.IPs; slices.Equal(before, after) {
		t.Errorf("the address is %v as before, want a new node's", after)
	}
	l.accepting()
	s.open("gpu")
}

func TestAHomeWithAnExpiredNodeKeyIsMissing(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	l.fault("expire?node=home-gpu")
	s.awaitCode("gpu", codes.PeerMissing, 10*time.Second)
}

func TestAHomeThatThisNodeMayNotSeeIsMissing(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	l.fault("hide?node=home-gpu")
	s.awaitCode("gpu", codes.PeerMissing, 10*time.Second)
	l.fault("hide?node=home-gpu&on=false")
	l.accepting()
	until(t, "the home is seen again", 10*time.Second, func() bool {
		conn, _, _ := s.connect("gpu")
		return conn != nil
	})
}

func TestAHomeOfAnotherAccountIsReachedByNameAndNotByTag(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	l.accepting()
	l.fault("share?node=home-gpu&suffix=stranger.test")
	s := startReadySidecar(t, l.env("MESH_UPSTREAMS=full=name:home-gpu.stranger.test:80,short=name:home-gpu:80,tag=tag:gpu:80"))
	s.open("full")
	s.open("short")
	if _, _, code := s.connect("tag"); code != codes.PeerMissing {
		t.Errorf("by its tag the shared home is %q, want %s: tags do not cross accounts", code, codes.PeerMissing)
	}
}

func TestTunnelsOpenWhileTheMapStreamsAreCut(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	l.accepting()
	l.fault("drop-streams")
	s.open("gpu")
	l.fault("drop-streams?on=false")
	until(t, "the home is online", 20*time.Second, func() bool { return s.document().Upstreams[0].Online })
	s.open("gpu")
}

func TestNewsThatTheControlPlaneHoldsBackArriveWhenItSpeaksAgain(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := startReadySidecar(t, l.env())
	l.accepting()
	l.fault("hold-streams")
	l.fault("hide?node=home-gpu")
	for range 50 { // news that were not held back would come in between
		s.open("gpu").Close()
	}
	l.fault("hold-streams?on=false")
	s.awaitCode("gpu", codes.PeerMissing, 10*time.Second)
}

// untilRefused asks for tunnels until the first one is refused: the home is told of
// a change, but when it has heard it nobody says.
func (s *sidecar) untilRefused(name string) (status int, code codes.Code) {
	s.t.Helper()
	until(s.t, "CONNECT "+name+" is refused", 30*time.Second, func() bool {
		var conn *net.TCPConn
		conn, status, code = s.connect(name)
		if conn != nil {
			conn.Close()
		}
		return conn == nil
	})
	return status, code
}
