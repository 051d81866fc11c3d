package main

import (
	"slices"
	"testing"
	"time"

	"tailscale.com/types/key"
)

func TestTheNearestOnlinePeerComesFirstAndTheOneInUseStaysWhileItIsAboutAsNear(t *testing.T) {
	const unknown = -1
	type home struct {
		name   string
		online bool
		rtt    time.Duration
	}
	ms := time.Millisecond
	for _, test := range []struct {
		name  string
		homes []home
		inUse string
		want  []string
	}{
		{"nearest first", []home{{"far", true, 30 * ms}, {"near", true, 3 * ms}}, "", []string{"near", "far"}},
		{"offline last, however near it was", []home{{"far", true, 30 * ms}, {"gone", false, ms}}, "gone", []string{"far", "gone"}},
		{"unmeasured after measured", []home{{"new", true, unknown}, {"far", true, 300 * ms}}, "", []string{"far", "new"}},
		{"unmeasured ones keep their order", []home{{"one", true, unknown}, {"two", true, unknown}}, "", []string{"one", "two"}},
		{"the one in use stays when another is a little nearer", []home{{"a", true, 29 * ms}, {"b", true, 30 * ms}}, "b", []string{"b", "a"}},
		{"two milliseconds are not worth a change", []home{{"a", true, ms / 2}, {"b", true, 2 * ms}}, "b", []string{"b", "a"}},
		{"a fifth nearer takes over", []home{{"a", true, 23 * ms}, {"b", true, 30 * ms}}, "b", []string{"a", "b"}},
		{"one in use that no longer answers gives way", []home{{"b", true, unknown}, {"a", true, 90 * ms}}, "b", []string{"a", "b"}},
		{"an unmeasured one in use stays among unmeasured ones", []home{{"a", true, unknown}, {"b", true, unknown}}, "b", []string{"b", "a"}},
		{"one in use that went away is not missed", []home{{"a", true, ms}}, "b", []string{"a"}},
		{"nobody", nil, "b", nil},
	} {
		var peers []Peer
		rtts := map[string]time.Duration{}
		inUse := key.NewNode().Public()
		for _, home := range test.homes {
			peer := Peer{PeerStatus: peerOf(home.name, home.online, nil)}
			if peer.PublicKey = key.NewNode().Public(); home.name == test.inUse {
				peer.PublicKey = inUse
			}
			peers, rtts[home.name] = append(peers, peer), home.rtt
		}
		before := namesOf(peers)
		got := rank(peers, inUse, func(peer Peer) (time.Duration, bool) {
			return rtts[peer.HostName], rtts[peer.HostName] != unknown
		})
		if !slices.Equal(namesOf(got), test.want) {
			t.Errorf("%s: %v, want %v", test.name, namesOf(got), test.want)
		}
		if !slices.Equal(namesOf(peers), before) {
			t.Errorf("%s: the caller's list was changed", test.name)
		}
	}
}

func TestAPeerThatLetADialTimeOutComesLastForAWhile(t *testing.T) {
	near, far := Peer{PeerStatus: peerOf("near", true, nil)}, Peer{PeerStatus: peerOf("far", true, nil)}
	near.PublicKey, far.PublicKey = key.NewNode().Public(), key.NewNode().Public()
	book := newPeerBook()
	book.pinged(near.PublicKey, PathResult{OK: true, RTT: time.Millisecond})
	book.pinged(far.PublicKey, PathResult{OK: true, RTT: time.Second})
	first := func() string { return book.order("gpu", []Peer{far, near})[0].HostName }
	if got := first(); got != "near" {
		t.Errorf("first is %s, want near", got)
	}
	book.dialled(near.PublicKey, false)
	if got := first(); got != "far" {
		t.Errorf("after a failed dial first is %s, want far", got)
	}
	book.dialled(near.PublicKey, true)
	if got := first(); got != "near" {
		t.Errorf("after a good dial first is %s, want near", got)
	}
}
