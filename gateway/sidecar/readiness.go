package main

import (
	"context"
	"sync"
	"time"

	"tailscale.com/ipn/ipnstate"

	"hearth.dev/meshlink/internal/codes"
)

// pathGoodFor is how long a measured way counts without being measured again, as
// long as nothing speaks against it.
const pathGoodFor = 30 * time.Second

// objections are what may speak against an older measurement.
type objections struct {
	failedAt time.Time // when a dial last failed
	thawedAt time.Time // when this process last woke up
	standing bool      // the peer that answered is in the network map, and online
}

// stillGood says whether the way was measured lately and nothing spoke against it
// since.
func stillGood(now time.Time, result PathResult, against objections) bool {
	return result.OK && now.Sub(result.At) < pathGoodFor && against.standing &&
		result.Began.After(against.thawedAt) && result.At.After(against.failedAt)
}

// ready: not draining, in the tailnet, and the way to at least one upstream is good.
// A probe every second costs no ping.
func (s *StatusServer) ready(ctx context.Context) *codes.Error {
	if s.connect.Draining() {
		return codes.Fail(codes.Draining, "shutting down")
	}
	status, trouble := s.networkMap(ctx)
	if trouble != nil {
		return trouble
	}
	thawedAt := s.sleep.Look(time.Now())
	for _, upstream := range s.config.Upstreams {
		if stillGood(time.Now(), s.paths.latest(upstream.Name), s.objections(upstream, status, thawedAt)) {
			return s.awakeSince(thawedAt)
		}
	}
	trouble = firstGood(s.paths.measureAll(ctx, s.config.Upstreams))
	if trouble == nil {
		return s.awakeSince(thawedAt)
	}
	if s.checking() {
		return codes.Fail(codes.Frozen, trouble.Error())
	}
	return trouble
}

// awakeSince has the last word: what was found before a sleep is worth nothing.
func (s *StatusServer) awakeSince(thawedAt time.Time) *codes.Error {
	if s.sleep.Look(time.Now()).After(thawedAt) {
		return codes.Fail(codes.Frozen, "the process slept while it was asked")
	}
	return nil
}

// checking says whether this process woke up and no upstream has answered since.
func (s *StatusServer) checking() bool {
	if s.sleep.Look(time.Now()).IsZero() {
		return false
	}
	for _, upstream := range s.config.Upstreams {
		if s.paths.answered(s.paths.latest(upstream.Name)) {
			return false
		}
	}
	return true
}

func (s *StatusServer) objections(upstream Upstream, status *ipnstate.Status, thawedAt time.Time) objections {
	against := objections{thawedAt: thawedAt}
	if failed := s.metrics.upstream(upstream.Name).lastError.Load(); failed != nil {
		against.failedAt = failed.At
	}
	if peer, known := status.Peer[s.paths.latest(upstream.Name).Peer]; known {
		against.standing = peer.Online && !peer.Expired && upstream.match(peer, status) != noMatch
	}
	return against
}

// measured is one upstream's result.
type measured struct {
	upstream Upstream
	result   PathResult
}

// measureAll measures all upstreams at once and sends each result as it comes; the
// channel is closed after the last.
func (p *PathProber) measureAll(ctx context.Context, upstreams []Upstream) <-chan measured {
	results := make(chan measured, len(upstreams))
	var all sync.WaitGroup
	for _, upstream := range upstreams {
		all.Go(func() { results <- measured{upstream, p.measure(ctx, upstream)} })
	}
	go func() {
		all.Wait()
		close(results)
	}()
	return results
}

// firstGood returns nil at the first upstream that answered, or why the last did not.
func firstGood(results <-chan measured) *codes.Error {
	var last *codes.Error
	for one := range results {
		if one.result.OK {
			return nil
		}
		last = codes.From(one.result.Err)
	}
	return last
}
