package main

import (
	"context"
	"sync"
	"time"

	"tailscale.com/types/key"

	"hearth.dev/meshlink/internal/codes"
	"hearth.dev/meshlink/internal/gap"
)

// The first ping after a start is often lost, because the two sides do not know
// each other's relay yet; a lost one must not cost much.
var pingTries = []time.Duration{200 * time.Millisecond, 300 * time.Millisecond, time.Second}

const (
	pathPingTotal  = 2 * time.Second
	keepWarmEvery  = 20 * time.Second
	keepWarmFor    = 5 * time.Minute // after the last traffic
	firstPathEvery = 50 * time.Millisecond
	deadPathEvery  = 5 * time.Second
	warmLookEvery  = time.Second
)

// PathResult is the latest measurement of the way to an upstream, or to a peer.
type PathResult struct {
	Began    time.Time
	At       time.Time
	OK       bool
	Peer     key.NodePublic // who answered
	RTT      time.Duration
	Endpoint string // of the peer, when the path is direct
	Relay    string // peer relay, when one is used
	Derp     string // region code, when relayed by DERP
	Err      error
}

// PathProber measures the ways to upstreams by ping.
type PathProber struct {
	tailnet *Tailnet
	dialer  *Dialer
	metrics *Metrics
	tunnels *TunnelTable
	sleep   *gap.Detector
	cells   map[string]*pathCell
}

// pathCell lets one measurement at a time run for an upstream.
type pathCell struct {
	turn   chan struct{} // holds one token: whoever has it measures
	mu     sync.Mutex
	latest PathResult
}

func newPathProber(upstreams []Upstream, tailnet *Tailnet, dialer *Dialer, tunnels *TunnelTable, metrics *Metrics, sleep *gap.Detector) *PathProber {
	prober := &PathProber{tailnet: tailnet, dialer: dialer, tunnels: tunnels, metrics: metrics, sleep: sleep, cells: map[string]*pathCell{}}
	for _, upstream := range upstreams {
		cell := &pathCell{turn: make(chan struct{}, 1)}
		cell.turn <- struct{}{}
		prober.cells[upstream.Name] = cell
	}
	return prober
}

// latest returns what is known without asking anybody.
func (p *PathProber) latest(name string) PathResult {
	cell := p.cells[name]
	cell.mu.Lock()
	defer cell.mu.Unlock()
	return cell.latest
}

// measure pings every online candidate of upstream now, for at most two seconds.
// Those who ask during a measurement share the one that follows.
func (p *PathProber) measure(ctx context.Context, upstream Upstream) PathResult {
	return p.measureSince(ctx, upstream, time.Now())
}

// measureSince is content with a measurement that began after since.
func (p *PathProber) measureSince(ctx context.Context, upstream Upstream, since time.Time) PathResult {
	ctx, cancel := context.WithTimeout(ctx, pathPingTotal)
	defer cancel()
	cell := p.cells[upstream.Name]
	select {
	case <-cell.turn:
	case <-ctx.Done():
		return PathResult{Began: since, At: time.Now(), Err: codes.Fail(codes.DialTimeout, "the measurement did not end in time")}
	}
	defer func() { cell.turn <- struct{}{} }()
	if latest := p.latest(upstream.Name); !latest.Began.Before(since) {
		return latest
	}
	result := p.ping(ctx, upstream)
	cell.mu.Lock()
	defer cell.mu.Unlock()
	cell.latest = result
	return result
}

func (p *PathProber) ping(ctx context.Context, upstream Upstream) PathResult {
	result := PathResult{Began: time.Now()}
	for _, timeout := range pingTries {
		member, peers, err := p.dialer.peers(ctx, upstream)
		if err != nil {
			result.At, result.Err = time.Now(), err
			return result
		}
		asked := peers[:max(1, countOnline(peers))]
		p.pingAll(ctx, member, asked, timeout)
		for _, peer := range p.dialer.book.order(upstream.Name, asked) {
			if answer := p.dialer.book.latest(peer.PublicKey); answer.OK && answer.Began.After(result.Began) {
				return answer
			}
		}
		result.At, result.Err = time.Now(), codes.Fail(codes.DialTimeout, "no pong from "+peers[0].HostName)
		if ctx.Err() != nil {
			break
		}
	}
	return result
}

// pingAll notes in the book who answers.
func (p *PathProber) pingAll(ctx context.Context, member *Member, peers []Peer, timeout time.Duration) {
	var pings sync.WaitGroup
	for _, peer := range peers {
		pings.Go(func() { p.dialer.book.pinged(peer.PublicKey, p.pingPeer(ctx, member, peer, timeout)) })
	}
	pings.Wait()
}

func (p *PathProber) pingPeer(ctx context.Context, member *Member, peer Peer, timeout time.Duration) PathResult {
	began := time.Now()
	pong, err := member.ping(ctx, peer.IP, timeout)
	p.metrics.pinged(err == nil)
	if err != nil {
		return PathResult{Began: began, At: time.Now(), Err: err}
	}
	return PathResult{
		Began: began, At: time.Now(), OK: true, Peer: peer.PublicKey, RTT: time.Duration(pong.LatencySeconds * float64(time.Second)),
		Endpoint: pong.Endpoint, Relay: pong.PeerRelay, Derp: pong.DERPRegionCode,
	}
}

// Run measures each upstream until it answers once, so that the first request
// finds a warm path, and then again only while there is traffic: an idle
// instance stays silent.
func (p *PathProber) Run(ctx context.Context, upstreams []Upstream) {
	var probing sync.WaitGroup
	for _, upstream := range upstreams {
		probing.Go(func() { p.keepWarm(ctx, upstream) })
	}
	probing.Wait()
}

func (p *PathProber) keepWarm(ctx context.Context, upstream Upstream) {
	wait := firstPathEvery
	for pauseFor(ctx, wait) {
		latest := p.latest(upstream.Name)
		switch {
		case !p.answered(latest):
			wait = min(2*wait, deadPathEvery)
			if p.measure(ctx, upstream).OK {
				wait = firstPathEvery
			}
		case time.Since(latest.At) > keepWarmEvery && time.Since(p.traffic(upstream.Name)) < keepWarmFor:
			p.measure(ctx, upstream)
		default:
			wait = warmLookEvery
		}
	}
}

// traffic returns when bytes last went through a tunnel to the upstream called name.
func (p *PathProber) traffic(name string) time.Time {
	ended := time.Unix(0, p.metrics.upstream(name).lastTraffic.Load())
	if open := p.tunnels.heard(name); open.After(ended) {
		return open
	}
	return ended
}

// answered says whether a ping was answered that was sent since this process last
// woke up.
func (p *PathProber) answered(result PathResult) bool {
	return result.OK && result.Began.After(p.sleep.Look(time.Now()))
}
