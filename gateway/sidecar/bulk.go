package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"tailscale.com/types/key"
)

const (
	bulkLookEvery = time.Second
	// bulkTotal bounds one measurement: pings, a small echo and a large one.
	bulkTotal = 40 * time.Second
)

// BulkProber measures whether large packets reach upstreams. Small ones always
// pass, so that neither pings nor probes of an ordinary kind see the difference.
// One measurement moves at most 600 KiB, and there is never more than one.
type BulkProber struct {
	mode    BulkMode
	host    string // of the home's echo
	mtu     int
	tailnet *Tailnet
	dialer  *Dialer
	paths   *PathProber
	metrics *Metrics
	log     *slog.Logger

	turn    chan struct{} // holds one token: whoever has it measures
	measure func(context.Context, Upstream) BulkResult

	mu       sync.Mutex
	results  map[string]BulkResult
	measured map[string]bulkSight
	noEcho   map[string]key.NodePublic // the peer that has none
	verdicts map[bulkCount]int64
}

type bulkCount struct {
	upstream string
	verdict  BulkVerdict
}

func newBulkProber(config Config, tailnet *Tailnet, dialer *Dialer, paths *PathProber, metrics *Metrics, log *slog.Logger) *BulkProber {
	mode := config.Net.Bulk
	if config.without("bulk") {
		mode = BulkOff
	}
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	prober := &BulkProber{
		mode: mode, host: config.Net.EchoHost, mtu: config.Net.MTU,
		tailnet: tailnet, dialer: dialer, paths: paths, metrics: metrics, log: log, turn: turn,
		results: map[string]BulkResult{}, measured: map[string]bulkSight{},
		noEcho: map[string]key.NodePublic{}, verdicts: map[bulkCount]int64{},
	}
	prober.measure = prober.measureWay
	return prober
}

// Run measures each upstream when it is due, until ctx ends.
func (p *BulkProber) Run(ctx context.Context, upstreams []Upstream) {
	if p.mode == BulkOff {
		return
	}
	for pauseFor(ctx, bulkLookEvery) {
		for _, upstream := range upstreams {
			p.mu.Lock()
			due := bulkDue(time.Now(), p.sight(upstream.Name), p.measured[upstream.Name], p.results[upstream.Name])
			p.mu.Unlock()
			if due {
				p.Probe(ctx, upstream)
			}
		}
	}
}

// Latest returns what is known of the upstream called name; its zero value means
// that nothing is.
func (p *BulkProber) Latest(name string) BulkResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.results[name]
}

// Probe measures now, which takes a fraction of a second on a good way and some
// seconds on a bad one. Callers that come during a measurement wait for theirs,
// and one that began after they asked serves them all. Where bulk probes are off,
// or ctx ends, the verdict is unknown.
func (p *BulkProber) Probe(ctx context.Context, upstream Upstream) BulkResult {
	asked := time.Now()
	unknown := BulkResult{Verdict: BulkUnknown, At: asked}
	if p.mode == BulkOff {
		return unknown
	}
	select {
	case <-p.turn:
	case <-ctx.Done():
		return unknown
	}
	defer func() { p.turn <- struct{}{} }()
	if latest := p.Latest(upstream.Name); latest.At.After(asked) {
		return latest
	}
	ctx, cancel := context.WithTimeout(ctx, bulkTotal)
	defer cancel()
	before := p.sight(upstream.Name)
	result := p.measure(ctx, upstream)
	if ctx.Err() != nil {
		return unknown // nothing learned
	}
	p.store(upstream.Name, before, result)
	return result
}

func (p *BulkProber) sight(name string) bulkSight {
	counts := p.metrics.upstream(name)
	return bulkSight{p.paths.latest(name), counts.sent.Load() + counts.received.Load()}
}

func (p *BulkProber) store(name string, before bulkSight, result BulkResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if was := p.results[name].Verdict; was != result.Verdict && result.Verdict == BulkBlackhole {
		p.log.Warn("large packets are lost on the way home", "upstream", name, "largestGoodBytes", result.LargestGoodBytes, "meshMtu", result.AdviceMTU, "detail", result.Detail)
	} else if was != result.Verdict {
		p.log.Info("the way for large packets", "upstream", name, "verdict", string(result.Verdict), "detail", result.Detail)
	}
	p.results[name], p.measured[name] = result, before
	p.verdicts[bulkCount{name, result.Verdict}]++
}

// measureWay pings first, because that is cheap; the echo is asked only when pings
// found nothing wrong.
func (p *BulkProber) measureWay(ctx context.Context, upstream Upstream) BulkResult {
	began := time.Now()
	member, err := p.tailnet.Joined(ctx)
	if err != nil {
		return BulkResult{Verdict: BulkUnknown, At: began, Detail: err.Error()}
	}
	peer, err := p.dialer.find(ctx, upstream, 0)
	if err != nil {
		return BulkResult{Verdict: BulkUnknown, At: began, Detail: err.Error()}
	}
	pings := member.sizedPinger(peer.IP).measure(ctx, p.mtu+wireGuardBytes)
	took := time.Since(began)
	if p.mode == BulkPing || judgeBulk(pings, echoEvidence{}) == BulkBlackhole {
		return bulkResultOf(pings, echoEvidence{}, began, took)
	}
	echo := p.askEcho(ctx, member, peer, upstream)
	return bulkResultOf(pings, echo, began, took)
}

// askEcho remembers which peer has no echo and does not ask it again.
func (p *BulkProber) askEcho(ctx context.Context, member *Member, peer Peer, upstream Upstream) echoEvidence {
	p.mu.Lock()
	none := p.noEcho[upstream.Name] == peer.PublicKey
	p.mu.Unlock()
	if none {
		return echoEvidence{outcome: echoNone}
	}
	evidence := member.echoClient(netip.AddrPortFrom(peer.IP, upstream.Port), p.host).measure(ctx)
	if evidence.outcome == echoNone {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.noEcho[upstream.Name] = peer.PublicKey
	}
	return evidence
}

// write prints the verdicts in the text format of Prometheus.
func (p *BulkProber) write(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprint(w, "# HELP meshlink_bulk_probes_total Measurements of the way for large packets, by verdict.\n# TYPE meshlink_bulk_probes_total counter\n")
	for _, name := range slices.Sorted(maps.Keys(p.results)) {
		for _, verdict := range []BulkVerdict{BulkFine, BulkSlow, BulkBlackhole, BulkUnknown} {
			fmt.Fprintf(w, "meshlink_bulk_probes_total{upstream=%q,verdict=%q} %d\n", name, verdict, p.verdicts[bulkCount{name, verdict}])
		}
	}
	fmt.Fprint(w, "# HELP meshlink_bulk_largest_good_bytes Largest UDP payload that reached the home, 0 when not known.\n# TYPE meshlink_bulk_largest_good_bytes gauge\n")
	for _, name := range slices.Sorted(maps.Keys(p.results)) {
		fmt.Fprintf(w, "meshlink_bulk_largest_good_bytes{upstream=%q} %d\n", name, p.results[name].LargestGoodBytes)
	}
}
