package main

import (
	"context"
	"net/netip"
	"time"

	"tailscale.com/client/local"
	"tailscale.com/tailcfg"
)

const (
	sizedPingTries = 3 // at once, so that a lossy wire is not taken for a narrow one
	// confirmRounds: a size counts as lost only when the small ping beside it is
	// answered each time. A wire that loses 30 % passes for a narrow one in one
	// case of a hundred thousand.
	confirmRounds     = 6
	sizedPingFloor    = 250 * time.Millisecond
	sizedPingCeiling  = time.Second
	sizedPingRTTs     = 4
	smallestSizedPing = 128 // about the bytes of a ping without padding
)

// sizedPinger sends pings to one peer and counts only answers over UDP: what
// arrives by the relay proves nothing about packet sizes. Up to a MESH_MTU of 1280
// the node sends them on the trusted way alone; larger ones go over the relay, too,
// and count only when the direct way is the faster one.
type sizedPinger struct {
	send    func(ctx context.Context, size int) (overUDP bool, rtt time.Duration)
	timeout time.Duration
}

func (m *Member) sizedPinger(ip netip.Addr) *sizedPinger {
	return &sizedPinger{
		timeout: sizedPingCeiling,
		send: func(ctx context.Context, size int) (bool, time.Duration) {
			pong, err := m.client.PingWithOpts(ctx, ip, tailcfg.PingDisco, local.PingOpts{Size: size})
			if err != nil || pong.Err != "" {
				return false, 0
			}
			return pong.Endpoint != "" || pong.PeerRelay != "", time.Duration(pong.LatencySeconds * float64(time.Second))
		},
	}
}

// passes says whether one of some pings of this size, sent at once, is answered.
func (s *sizedPinger) passes(ctx context.Context, size int) bool {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	answers := make(chan bool, sizedPingTries)
	for range sizedPingTries {
		go func() {
			overUDP, _ := s.send(ctx, size)
			answers <- overUDP
		}()
	}
	for range sizedPingTries {
		if <-answers {
			return true
		}
	}
	return false
}

// small sends an ordinary ping. It also keeps the way trusted: without that the
// node sends sized pings over the relay, too, whose answer may come first.
func (s *sizedPinger) small(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, sizedPingCeiling)
	defer cancel()
	overUDP, rtt := s.send(ctx, 0)
	if overUDP {
		s.timeout = min(max(sizedPingRTTs*rtt, sizedPingFloor), sizedPingCeiling)
	}
	return overUDP
}

func (s *sizedPinger) anySmall(ctx context.Context) bool {
	for range sizedPingTries {
		if s.small(ctx) {
			return true
		}
	}
	return false
}

// measure finds the largest size up to need that passes. It sends at most a
// hundred datagrams and takes at most a few seconds.
func (s *sizedPinger) measure(ctx context.Context, need int) pingEvidence {
	if !s.anySmall(ctx) {
		return pingEvidence{need: need}
	}
	if s.passes(ctx, need) {
		return pingEvidence{answered: true, need: need, largest: need}
	}
	for range confirmRounds {
		if !s.anySmall(ctx) {
			return pingEvidence{need: need} // the way itself is gone, or is the relay now
		}
		if s.passes(ctx, need) {
			return pingEvidence{answered: true, need: need, largest: need} // lossy, not narrow
		}
	}
	largest := s.bisect(ctx, smallestSizedPing, need)
	if ctx.Err() != nil {
		return pingEvidence{need: need}
	}
	return pingEvidence{answered: true, need: need, largest: largest}
}

// bisect returns the largest size that passes, when good is known to pass and bad
// to be lost.
func (s *sizedPinger) bisect(ctx context.Context, good, bad int) int {
	for bad-good > 1 && ctx.Err() == nil {
		if middle := (good + bad) / 2; s.passes(ctx, middle) {
			good = middle
		} else {
			bad = middle
			s.small(ctx)
		}
	}
	return good
}
