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
	"hearth.dev/meshlink/internal/gap"
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
	// freshPause is for a home that answers pings of a new node already and takes
	// its handshakes a moment later.
	freshPause = 100 * time.Millisecond
)

// Dialer opens connections to upstreams and keeps the counters of its tries.
type Dialer struct {
	tailnet *Tailnet
	book    *PeerBook
	metrics *Metrics
	sleep   *gap.Detector
	log     *slog.Logger
	tries   []time.Duration
	watched bool // connections ask the home whether it still knows them
}

func newDialer(config Config, tailnet *Tailnet, metrics *Metrics, sleep *gap.Detector, log *slog.Logger) *Dialer {
	tries := dialTries
	if config.without("dial-retries") {
		tries = tries[:1]
	}
	return &Dialer{tailnet: tailnet, book: newPeerBook(), metrics: metrics, sleep: sleep, log: log, tries: tries, watched: !config.without("peer-watch")}
}

// dial opens a connection to upstream or returns a *codes.Error. It gives up after
// twenty seconds, or when ctx ends.
func (d *Dialer) dial(ctx context.Context, upstream Upstream) (pipe.Conn, Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTotal)
	defer cancel()
	counts := d.metrics.upstream(upstream.Name)
	started := time.Now()
	conn, peer, tries, err := d.try(ctx, upstream)
	counts.retried.Add(int64(max(tries-1, 0)))
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			err = d.failed(codes.From(err), started, counts)
		}
		return nil, peer, err
	}
	counts.ok.Add(1)
	counts.silent.Store(false)
	d.metrics.dialTime(time.Since(started))
	return conn, peer, nil
}

// failed counts a failed dial. One that this process slept through had no chance:
// its deadline passed meanwhile.
func (d *Dialer) failed(trouble *codes.Error, started time.Time, counts *UpstreamCounts) *codes.Error {
	silent := trouble.Code.NoAnswer()
	if silent && d.sleep.Look(time.Now()).After(started) {
		trouble = codes.Fail(codes.Frozen, "slept during the dial: "+trouble.Detail)
	}
	counts.failed.Add(1)
	counts.setError(trouble)
	counts.silent.Store(silent)
	return trouble
}

func (d *Dialer) try(ctx context.Context, upstream Upstream) (conn pipe.Conn, peer Peer, tries int, err error) {
	trouble := codes.Fail(codes.DialTimeout, "no try was made")
	tried := map[netip.Addr]bool{}
	var answers <-chan bool
	for tries < len(d.tries) {
		peer, err = d.find(ctx, upstream, tries)
		if err != nil {
			return nil, peer, tries, err
		}
		if tried[peer.IP] && !peer.Online {
			return nil, peer, tries, codes.Fail(codes.PeerOffline, peer.HostName+" is offline and did not answer: "+trouble.Detail)
		}
		tried[peer.IP] = true
		if tries == len(d.tries)-1 {
			answers = d.pingAside(ctx, peer)
		}
		conn, err = d.tryOnce(ctx, peer, upstream, d.tries[tries])
		tries++
		if err == nil {
			return conn, peer, tries, nil
		}
		trouble = codes.From(err)
		switch {
		case ctx.Err() != nil:
			return nil, peer, tries, endOf(ctx, trouble)
		case trouble.Code == codes.Refused:
			return nil, peer, tries, trouble
		case tries == len(d.tries):
			return nil, peer, tries, d.explain(ctx, peer, trouble, answers)
		}
		d.log.Debug("dial failed, trying again", "upstream", upstream.Name, "try", tries, "detail", trouble.Detail)
		if peer.Online && !pauseFor(ctx, rand.N(dialPauseMax)) {
			return nil, peer, tries, endOf(ctx, trouble)
		}
	}
	return nil, peer, tries, trouble
}

// peers returns the candidates of upstream as they are now, the one to try first
// at the front. There is at least one.
func (d *Dialer) peers(ctx context.Context, upstream Upstream) (*Member, []Peer, error) {
	member, err := d.tailnet.Joined(ctx)
	if err != nil {
		return nil, nil, err
	}
	status, err := member.networkMap(ctx)
	if ctx.Err() != nil {
		return nil, nil, endOf(ctx, codes.Fail(codes.DialTimeout, ctx.Err().Error()))
	}
	if err != nil {
		return nil, nil, codes.Fail(codes.NotReady, err.Error())
	}
	peers := candidates(upstream, status)
	if len(peers) == 0 {
		return nil, nil, codes.Fail(codes.PeerMissing, "no peer of the tailnet matches "+upstream.selector())
	}
	return member, d.book.order(upstream.Name, peers), nil
}

// find resolves upstream anew at each try; later tries take the next candidate.
func (d *Dialer) find(ctx context.Context, upstream Upstream, try int) (Peer, error) {
	_, peers, err := d.peers(ctx, upstream)
	if err != nil {
		return Peer{}, err
	}
	return peers[try%max(1, countOnline(peers))], nil
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
	if fresh := peer.LastHandshake.IsZero(); fresh || d.metrics.upstream(upstream.Name).silent.Load() {
		knock(ctx, member, peer)
		if fresh {
			pauseFor(ctx, freshPause)
		}
	}
	conn, err := member.dial(ctx, netip.AddrPortFrom(peer.IP, upstream.Port))
	d.book.dialled(peer.PublicKey, err == nil || codes.From(err).Code == codes.Refused)
	if err == nil && d.watched {
		if err := keepAlive(conn); err != nil {
			d.log.Warn("a home that restarts will leave this tunnel hanging", "error", err.Error())
		}
	}
	return conn, err
}

// knock pings a peer that did not answer the last time, or that never heard of this
// node, until it does, for at most a second. A peer that is just coming back, or
// that control has not told about us yet, throws away a handshake it gets too
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
