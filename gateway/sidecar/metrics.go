package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// Metrics are meshlink's own counters. Everything is safe for concurrent use.
type Metrics struct {
	opened, aborted, openNow atomic.Int64
	dialMicros, dials        atomic.Int64
	pongs, lostPings         atomic.Int64
	upstreams                map[string]*UpstreamCounts

	mu      sync.Mutex
	refused map[codes.Code]int64
	cut     map[codes.Code]int64
}

// UpstreamCounts are the counters of one upstream.
type UpstreamCounts struct {
	ok, retried, failed atomic.Int64
	sent, received      atomic.Int64 // bytes to and from the home
	lastTraffic         atomic.Int64 // nanoseconds of the clock, 0 for never

	lastError atomic.Pointer[failure]
	silent    atomic.Bool // the latest dial got no answer
}

// failure is a dial that did not come about.
type failure struct {
	Code   codes.Code `json:"code"`
	Detail string     `json:"detail"`
	At     time.Time  `json:"at"`
}

func newMetrics(upstreams []Upstream) *Metrics {
	metrics := &Metrics{upstreams: map[string]*UpstreamCounts{}, refused: map[codes.Code]int64{}, cut: map[codes.Code]int64{}}
	for _, upstream := range upstreams {
		metrics.upstreams[upstream.Name] = new(UpstreamCounts)
	}
	return metrics
}

// upstream returns the counters of a configured upstream.
func (m *Metrics) upstream(name string) *UpstreamCounts { return m.upstreams[name] }

func (c *UpstreamCounts) setError(trouble *codes.Error) {
	c.lastError.Store(&failure{trouble.Code, trouble.Detail, time.Now().UTC()})
}

func (m *Metrics) tunnelOpened() {
	m.opened.Add(1)
	m.openNow.Add(1)
}

func (m *Metrics) tunnelClosed(aborted bool) {
	m.openNow.Add(-1)
	if aborted {
		m.aborted.Add(1)
	}
}

func (m *Metrics) dialTime(took time.Duration) {
	m.dialMicros.Add(took.Microseconds())
	m.dials.Add(1)
}

func (m *Metrics) pinged(answered bool) {
	if answered {
		m.pongs.Add(1)
	} else {
		m.lostPings.Add(1)
	}
}

// tunnelsCut counts tunnels that were reset from here.
func (m *Metrics) tunnelsCut(code codes.Code, tunnels int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut[code] += int64(tunnels)
}

func (m *Metrics) refusal(code codes.Code) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused[code]++
}

// write prints the counters in the text format of Prometheus.
func (m *Metrics) write(w io.Writer) {
	metric := func(name, kind, help string) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	metric("meshlink_tunnels_open", "gauge", "Tunnels open now.")
	fmt.Fprintf(w, "meshlink_tunnels_open %d\n", m.openNow.Load())
	metric("meshlink_tunnels_opened_total", "counter", "Tunnels opened.")
	fmt.Fprintf(w, "meshlink_tunnels_opened_total %d\n", m.opened.Load())
	metric("meshlink_tunnels_aborted_total", "counter", "Tunnels that ended by a reset, not by two clean ends.")
	fmt.Fprintf(w, "meshlink_tunnels_aborted_total %d\n", m.aborted.Load())
	metric("meshlink_dial_seconds", "summary", "Time of successful dials.")
	fmt.Fprintf(w, "meshlink_dial_seconds_sum %g\nmeshlink_dial_seconds_count %d\n", float64(m.dialMicros.Load())/1e6, m.dials.Load())
	metric("meshlink_tunnels_refused_total", "counter", "Tunnel requests refused, by code.")
	m.mu.Lock()
	for _, code := range slices.Sorted(maps.Keys(m.refused)) {
		fmt.Fprintf(w, "meshlink_tunnels_refused_total{code=%q} %d\n", code, m.refused[code])
	}
	metric("meshlink_tunnels_cut_total", "counter", "Open tunnels that were reset from here, by code.")
	for _, code := range slices.Sorted(maps.Keys(m.cut)) {
		fmt.Fprintf(w, "meshlink_tunnels_cut_total{code=%q} %d\n", code, m.cut[code])
	}
	m.mu.Unlock()
	metric("meshlink_pings_total", "counter", "Pings sent to measure ways and to watch peers, by result.")
	fmt.Fprintf(w, "meshlink_pings_total{result=\"ok\"} %d\nmeshlink_pings_total{result=\"lost\"} %d\n", m.pongs.Load(), m.lostPings.Load())
	m.writeUpstreams(w, metric)
}

func (m *Metrics) writeUpstreams(w io.Writer, metric func(name, kind, help string)) {
	names := slices.Sorted(maps.Keys(m.upstreams))
	metric("meshlink_dials_total", "counter", "Dials by result; retried counts extra tries.")
	for _, name := range names {
		counts := m.upstreams[name]
		fmt.Fprintf(w, "meshlink_dials_total{upstream=%q,result=\"ok\"} %d\n", name, counts.ok.Load())
		fmt.Fprintf(w, "meshlink_dials_total{upstream=%q,result=\"retried\"} %d\n", name, counts.retried.Load())
		fmt.Fprintf(w, "meshlink_dials_total{upstream=%q,result=\"failed\"} %d\n", name, counts.failed.Load())
	}
	metric("meshlink_bytes_total", "counter", "Bytes through tunnels.")
	for _, name := range names {
		counts := m.upstreams[name]
		fmt.Fprintf(w, "meshlink_bytes_total{upstream=%q,direction=\"sent\"} %d\n", name, counts.sent.Load())
		fmt.Fprintf(w, "meshlink_bytes_total{upstream=%q,direction=\"received\"} %d\n", name, counts.received.Load())
	}
}
