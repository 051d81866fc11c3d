package main

import (
	"context"
	"sync"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// The first ping after a start is often lost, because the two sides do not know
// each other's relay yet; a lost one must not cost much.
var pingTries = []time.Duration{200 * time.Millisecond, 300 * time.Millisecond, time.Second}

const (
	pathAgeMax     = 2 * time.Second // older results are measured anew when somebody asks
	pathPingTotal  = 2 * time.Second
	keepWarmEvery  = 20 * time.Second
	keepWarmFor    = 5 * time.Minute // after the last traffic
	firstPathEvery = 50 * time.Millisecond
	deadPathEvery  = 5 * time.Second
	warmLookEvery  = time.Second
)

// PathResult is the latest measurement of the way to an upstream.
type PathResult struct {
	At       time.Time
	OK       bool
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

	mu      sync.Mutex
	results map[string]*pathCell
}

// pathCell lets one measurement at a time run for an upstream.
type pathCell struct {
	running sync.Mutex
	latest  PathResult
	mu      sync.Mutex
}

func newPathProber(tailnet *Tailnet, dialer *Dialer, metrics *Metrics) *PathProber {
	return &PathProber{tailnet: tailnet, dialer: dialer, metrics: metrics, results: map[string]*pathCell{}}
}

func (p *PathProber) cell(name string) *pathCell {
	p.mu.Lock()
	defer p.mu.Unlock()
	cell, ok := p.results[name]
	if !ok {
		cell = new(pathCell)
		p.results[name] = cell
	}
	return cell
}

// latest returns what is known without asking anybody.
func (p *PathProber) latest(name string) PathResult {
	cell := p.cell(name)
	cell.mu.Lock()
	defer cell.mu.Unlock()
	return cell.latest
}

// fresh returns a good result younger than ageMax, or else measures. A dial that
// failed since makes every older result worthless. It takes at most two seconds.
func (p *PathProber) fresh(ctx context.Context, upstream Upstream, ageMax time.Duration) PathResult {
	cell := p.cell(upstream.Name)
	cell.running.Lock()
	defer cell.running.Unlock()
	latest := p.latest(upstream.Name)
	failed := p.metrics.upstream(upstream.Name).lastError.Load()
	if latest.OK && time.Since(latest.At) < ageMax && (failed == nil || failed.At.Before(latest.At)) {
		return latest
	}
	ctx, cancel := context.WithTimeout(ctx, pathPingTotal)
	defer cancel()
	result := p.measure(ctx, upstream)
	cell.mu.Lock()
	defer cell.mu.Unlock()
	cell.latest = result
	return result
}

func (p *PathProber) measure(ctx context.Context, upstream Upstream) PathResult {
	result := PathResult{At: time.Now()}
	for try, timeout := range pingTries {
		peer, err := p.dialer.find(ctx, upstream, try)
		if err != nil {
			result.Err = err
			return result
		}
		member, err := p.tailnet.Joined(ctx)
		if err != nil {
			result.Err = err
			return result
		}
		pong, err := member.ping(ctx, peer.IP, timeout)
		if err != nil {
			result.Err = codes.Fail(codes.DialTimeout, "no pong from "+peer.HostName+": "+err.Error())
			continue
		}
		return PathResult{
			At: time.Now(), OK: true, RTT: time.Duration(pong.LatencySeconds * float64(time.Second)),
			Endpoint: pong.Endpoint, Relay: pong.PeerRelay, Derp: pong.DERPRegionCode,
		}
	}
	return result
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
		traffic := time.Unix(0, p.metrics.upstream(upstream.Name).lastTraffic.Load())
		switch {
		case !latest.OK:
			wait = min(2*wait, deadPathEvery)
			if p.fresh(ctx, upstream, 0).OK {
				wait = firstPathEvery
			}
		case time.Since(latest.At) > keepWarmEvery && time.Since(traffic) < keepWarmFor:
			p.fresh(ctx, upstream, 0)
		default:
			wait = warmLookEvery
		}
	}
}
