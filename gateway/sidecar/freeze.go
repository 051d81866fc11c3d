package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"hearth.dev/meshlink/internal/codes"
	"hearth.dev/meshlink/internal/gap"
)

const (
	thawWait = 3 * time.Second
	// thawCounts is how long after a sleep an unanswered ping is blamed on it.
	thawCounts = 30 * time.Second
	// After so long a sleep the relay and every router on the way may have
	// forgotten this node's connections without telling it.
	longSleep = 30 * time.Second
)

// newSleepDetector returns a detector that measures every way again after a sleep.
// measure may be set until the first look.
func newSleepDetector(config Config, tailnet *Tailnet, measure *atomic.Pointer[PathProber], log *slog.Logger) *gap.Detector {
	if config.without("freeze-detector") {
		return gap.Off()
	}
	return gap.New(func(asleep time.Duration) {
		log.Warn("this process did not run for a while, measuring the ways again", "seconds", asleep.Round(time.Millisecond).Seconds())
		if paths := measure.Load(); paths != nil {
			go paths.afterSleep(tailnet, config.Upstreams, asleep, log)
		}
	})
}

// afterSleep learns this node's addresses anew and measures every way. Where
// nobody answers, the sockets themselves may be dead.
func (p *PathProber) afterSleep(tailnet *Tailnet, upstreams []Upstream, asleep time.Duration, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), thawCounts)
	defer cancel()
	member := tailnet.view().member
	if member == nil {
		return
	}
	if err := member.client.DebugAction(ctx, "restun"); err != nil {
		log.Warn("the node cannot look for its addresses", "error", err.Error())
	}
	trouble := firstGood(p.measureAll(ctx, upstreams))
	if trouble == nil || asleep < longSleep {
		return
	}
	log.Warn("nobody answered after the sleep, opening the sockets anew", "detail", trouble.Detail)
	if err := member.client.DebugAction(ctx, "rebind"); err != nil {
		log.Warn("the node cannot open its sockets anew", "error", err.Error())
	}
	firstGood(p.measureAll(ctx, upstreams))
}

// awaitThaw returns at once while this process has not slept lately. Else it waits
// until the way to upstream is known to work again, for at most three seconds.
func (p *PathProber) awaitThaw(ctx context.Context, upstream Upstream) *codes.Error {
	thawedAt := p.sleep.Look(time.Now())
	if thawedAt.IsZero() || time.Since(thawedAt) > thawCounts || p.answered(p.latest(upstream.Name)) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, thawWait)
	defer cancel()
	for since := thawedAt; ; since = time.Now() {
		result := p.measureSince(ctx, upstream, since)
		if p.answered(result) {
			return nil
		}
		if result.Err != nil && ctx.Err() == nil {
			if trouble := codes.From(result.Err); trouble.Code != codes.DialTimeout {
				return trouble
			}
		}
		if !pauseFor(ctx, knockPause) {
			return codes.Fail(codes.Frozen, "no pong within "+thawWait.String()+" of a wake-up")
		}
	}
}
