package main

import (
	"slices"
	"sync"
	"time"

	"tailscale.com/types/key"
)

const (
	// A home must be better than the one in use by this much before it takes over:
	// two that are about equally far must not take turns.
	betterByPercent = 20
	betterByLeast   = 2 * time.Millisecond
	// failedDialCounts is how long a peer that let a dial time out comes last.
	failedDialCounts = 30 * time.Second
	bookKeeps        = time.Hour
)

// PeerBook remembers what pings and dials said about each peer.
type PeerBook struct {
	mu     sync.Mutex
	pings  map[key.NodePublic]PathResult
	failed map[key.NodePublic]time.Time
	chosen map[string]key.NodePublic // by upstream
}

func newPeerBook() *PeerBook {
	return &PeerBook{pings: map[key.NodePublic]PathResult{}, failed: map[key.NodePublic]time.Time{}, chosen: map[string]key.NodePublic{}}
}

// pinged notes the latest ping of a peer. A lost one says nothing when another one
// was answered meanwhile.
func (b *PeerBook) pinged(peer key.NodePublic, result PathResult) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.pings[peer]; !result.OK && known.OK && known.At.After(result.Began) {
		return
	}
	b.pings[peer] = result
	for known, old := range b.pings {
		if result.At.Sub(old.At) > bookKeeps {
			delete(b.pings, known)
			delete(b.failed, known)
		}
	}
}

// latest returns the latest ping of a peer; its zero value means there was none.
func (b *PeerBook) latest(peer key.NodePublic) PathResult {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pings[peer]
}

// dialled notes whether a peer took a connection.
func (b *PeerBook) dialled(peer key.NodePublic, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ok {
		delete(b.failed, peer)
	} else {
		b.failed[peer] = time.Now()
	}
}

// order puts the candidates of upstream into the order in which to try them, and
// remembers the first.
func (b *PeerBook) order(upstream string, peers []Peer) []Peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	ordered := rank(peers, b.chosen[upstream], func(peer Peer) (time.Duration, bool) {
		ping := b.pings[peer.PublicKey]
		return ping.RTT, ping.OK && now.Sub(b.failed[peer.PublicKey]) > failedDialCounts
	})
	if len(ordered) > 0 {
		b.chosen[upstream] = ordered[0].PublicKey
	}
	return ordered
}

// rank sorts peers that come online first: among the online ones the nearest comes
// first and unmeasured ones last, and the one in use stays as long as no other is
// clearly nearer. Peers that are equal keep their order.
func rank(peers []Peer, inUse key.NodePublic, rtt func(Peer) (time.Duration, bool)) []Peer {
	ranked := slices.Clone(peers)
	online := ranked[:countOnline(ranked)]
	slices.SortStableFunc(online, func(a, b Peer) int {
		rttA, knownA := rtt(a)
		rttB, knownB := rtt(b)
		if !knownA || !knownB {
			return trueFirst(knownA, knownB)
		}
		return int(rttA - rttB)
	})
	at := slices.IndexFunc(online, func(peer Peer) bool { return peer.PublicKey == inUse })
	if at <= 0 || inUse.IsZero() {
		return ranked
	}
	current, known := rtt(online[at])
	best, bestKnown := rtt(online[0])
	if known != bestKnown || best+max(current*betterByPercent/100, betterByLeast) < current {
		return ranked
	}
	stays := online[at]
	copy(online[1:at+1], online[:at])
	online[0] = stays
	return ranked
}
