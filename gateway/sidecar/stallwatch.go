package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

const (
	stallLookEvery = time.Second
	// stalledAfter is how long a write to the home may wait. A slow way still takes
	// a few bytes in this time.
	stalledAfter = 10 * time.Second
	// stallAskEvery keeps a home that merely takes its time from being measured all
	// the time.
	stallAskEvery = time.Minute
	// stalledBytes certainly need a packet of full size.
	stalledBytes = 4 << 10
)

// onStalled finds out whether the way to upstream swallows large packets, and what
// it saw. It may take some seconds.
type onStalled func(ctx context.Context, upstream Upstream) (blackHole bool, detail string)

// askBulk measures with large packets.
func askBulk(bulk *BulkProber) onStalled {
	return func(ctx context.Context, upstream Upstream) (bool, string) {
		result := bulk.Probe(ctx, upstream)
		return result.Verdict == BulkBlackhole, result.Detail
	}
}

// StallWatch cuts tunnels whose bytes do not get through because large packets
// are lost: such a home answers every ping, so that nothing else would end them.
type StallWatch struct {
	upstreams []Upstream
	tunnels   *TunnelTable
	metrics   *Metrics
	ask       onStalled
	log       *slog.Logger
}

func newStallWatch(config Config, tunnels *TunnelTable, metrics *Metrics, ask onStalled, log *slog.Logger) *StallWatch {
	return &StallWatch{upstreams: config.Upstreams, tunnels: tunnels, metrics: metrics, ask: ask, log: log}
}

// Run watches until ctx ends.
func (w *StallWatch) Run(ctx context.Context) {
	var watching sync.WaitGroup
	for _, upstream := range w.upstreams {
		watching.Go(func() {
			wait := stallLookEvery
			for pauseFor(ctx, wait) {
				wait = stallLookEvery
				if len(stalled(time.Now(), w.tunnels.all(), upstream.Name)) > 0 {
					w.decide(ctx, upstream)
					wait = stallAskEvery
				}
			}
		})
	}
	watching.Wait()
}

func (w *StallWatch) decide(ctx context.Context, upstream Upstream) {
	blackHole, detail := w.ask(ctx, upstream)
	if !blackHole || ctx.Err() != nil {
		return
	}
	why := codes.Fail(codes.Blackhole, detail)
	cut := w.tunnels.cut(stalled(time.Now(), w.tunnels.all(), upstream.Name), why)
	w.metrics.tunnelsCut(why.Code, cut)
	w.metrics.upstream(upstream.Name).setError(why)
	w.log.Warn("tunnels are cut: large packets are lost on the way home", "upstream", upstream.Name, "tunnels", cut, "detail", detail)
}

// stalled picks the tunnels to an upstream whose bytes may not get through: a write
// to the home waits, or nothing came back since. The latter is what a small upload
// looks like, because the node's network stack takes the first megabyte at once.
func stalled(now time.Time, tunnels []*Tunnel, upstream string) (waiting []*Tunnel) {
	for _, tunnel := range tunnels {
		to, from := &tunnel.Clocks.AToB, &tunnel.Clocks.BToA
		since := to.BlockedSince()
		if since.IsZero() && to.Bytes() >= stalledBytes && to.Heard().After(from.Heard()) {
			since = to.Heard()
		}
		if tunnel.Upstream == upstream && !since.IsZero() && now.Sub(since) >= stalledAfter {
			waiting = append(waiting, tunnel)
		}
	}
	return waiting
}

func (s *StatusServer) stalled(upstream string) int {
	return len(stalled(time.Now(), s.tunnels.all(), upstream))
}
