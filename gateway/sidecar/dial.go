package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"hearth.dev/meshlink/internal/codes"
	"hearth.dev/meshlink/internal/pipe"
)

// A failed dial itself warms the relay, so the next try often passes where the
// first timed out.
var dialTries = []time.Duration{3 * time.Second, 6 * time.Second, 10 * time.Second}

const (
	dialTotal = 20 * time.Second
	// offlineTry is for a peer that control calls offline: it may be wrong, when
	// only the home's way to control is down, but it rarely is.
	offlineTry   = 2 * time.Second
	dialPauseMax = 250 * time.Millisecond
	knockTimeout = 200 * time.Millisecond
	knockTotal   = time.Second
	knockPause   = 20 * time.Millisecond
)

// Dialer opens connections to upstreams and keeps the counters of its tries.
type Dialer struct {
	tailnet *Tailnet
	metrics *Metrics
	log     *slog.Logger
}

// dial opens a connection to upstream or returns a *codes.Error. It gives up after
// twenty seconds, or when ctx ends.
func (d *Dialer) dial(ctx context.Context, upstream Upstream) (pipe.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTotal)
	defer cancel()
	counts := d.metrics.upstream(upstream.Name)
	started := time.Now()
	conn, tries, err := d.try(ctx, upstream)
	counts.retried.Add(int64(max(tries-1, 0)))
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			counts.failed.Add(1)
			trouble := codes.From(err)
			counts.setError(trouble)
			counts.silent.Store(trouble.Code == codes.DialTimeout || trouble.Code == codes.PeerOffline)
		}
		return nil, err
	}
	counts.ok.Add(1)
	counts.silent.Store(false)
	d.metrics.dialTime(time.Since(started))
	return conn, nil
}

func (d *Dialer) try(ctx context.Context, upstream Upstream) (conn pipe.Conn, tries int, err error) {
	trouble := codes.Fail(codes.DialTimeout, "no try was made")
	tried := map[netip.Addr]bool{}
	for tries < len(dialTries) {
		peer, err := d.find(ctx, upstream, tries)
		if err != nil {
			return nil, tries, err
		}
		if tried[peer.IP] && !peer.Online {
			return nil, tries, codes.Fail(codes.PeerOffline, peer.HostName+" is offline and did not answer: "+trouble.Detail)
		}
		tried[peer.IP] = true
		conn, err := d.tryOnce(ctx, peer, upstream, dialTries[tries])
		tries++
		if err == nil {
			return conn, tries, nil
		}
		trouble = codes.From(err)
		switch {
		case ctx.Err() != nil:
			return nil, tries, endOf(ctx, trouble)
		case trouble.Code == codes.Refused || tries == len(dialTries):
			return nil, tries, trouble
		}
		d.log.Debug("dial failed, trying again", "upstream", upstream.Name, "try", tries, "detail", trouble.Detail)
		if peer.Online && !pauseFor(ctx, rand.N(dialPauseMax)) {
			return nil, tries, endOf(ctx, trouble)
		}
	}
	return nil, tries, trouble
}

// find resolves upstream anew at each try; later tries take the next candidate.
func (d *Dialer) find(ctx context.Context, upstream Upstream, try int) (Peer, error) {
	member, err := d.tailnet.Joined(ctx)
	if err != nil {
		return Peer{}, err
	}
	status, err := member.networkMap(ctx)
	if err != nil {
		return Peer{}, codes.Fail(codes.NotReady, err.Error())
	}
	peers := candidates(upstream, status)
	if len(peers) == 0 {
		return Peer{}, codes.Fail(codes.PeerMissing, "no peer of the tailnet matches "+upstream.selector())
	}
	if online := countOnline(peers); online > 0 {
		return peers[try%online], nil
	}
	return peers[0], nil
}

// tryOnce makes one try of at most timeout. It ends early when the peer is, or
// meanwhile went, offline.
func (d *Dialer) tryOnce(ctx context.Context, peer Peer, upstream Upstream, timeout time.Duration) (pipe.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	member, err := d.tailnet.Joined(ctx)
	if err != nil {
		return nil, err
	}
	check := time.AfterFunc(offlineTry, func() {
		if !member.online(ctx, peer) {
			cancel()
		}
	})
	defer check.Stop()
	if d.metrics.upstream(upstream.Name).silent.Load() {
		knock(ctx, member, peer)
	}
	return member.dial(ctx, netip.AddrPortFrom(peer.IP, upstream.Port))
}

// knock pings a peer that did not answer the last time until it does, for at most
// a second. A peer that is just coming back throws away a handshake it gets too
// early, and WireGuard repeats a handshake only after five seconds.
func knock(ctx context.Context, member *Member, peer Peer) {
	for deadline := time.Now().Add(knockTotal); time.Now().Before(deadline) && ctx.Err() == nil; {
		if _, err := member.ping(ctx, peer.IP, knockTimeout); err == nil || !pauseFor(ctx, knockPause) {
			return
		}
	}
}

// endOf tells the caller's going from our own deadline.
func endOf(ctx context.Context, trouble *codes.Error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Canceled
	}
	return codes.Fail(codes.DialTimeout, trouble.Detail)
}

func countOnline(peers []Peer) int {
	online := 0
	for _, peer := range peers {
		if peer.Online {
			online++
		}
	}
	return online
}

func pauseFor(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (u Upstream) selector() string {
	if u.Tag != "" {
		return u.Tag
	}
	return "name:" + u.Host
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), part)
}
