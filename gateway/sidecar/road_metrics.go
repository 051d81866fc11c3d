package main

import (
	"fmt"
	"io"

	"tailscale.com/ipn/ipnstate"
)

// wayKinds are the values of Way.Kind.
var wayKinds = []string{"direct", "peer_relay", "derp", "none"}

// writeRoad prints the state of the road in the text format of Prometheus; status
// is nil while not in the tailnet.
func (s *StatusServer) writeRoad(w io.Writer, status *ipnstate.Status) {
	metric := func(name, kind, help string) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	count, last := s.sleep.Seen()
	metric("meshlink_freezes_total", "counter", "Times this process did not run for more than five seconds.")
	fmt.Fprintf(w, "meshlink_freezes_total %d\n", count)
	metric("meshlink_freeze_seconds", "gauge", "How long the last of them was.")
	fmt.Fprintf(w, "meshlink_freeze_seconds %g\n", last.Seconds())
	var documents []UpstreamDocument
	for _, upstream := range s.config.Upstreams {
		documents = append(documents, s.upstreamDocument(upstream, status))
	}
	metric("meshlink_upstream_path", "gauge", "1 for the kind of way in use.")
	for _, upstream := range documents {
		for _, kind := range wayKinds {
			fmt.Fprintf(w, "meshlink_upstream_path{upstream=%q,path=%q} %d\n", upstream.Name, kind, oneIf(upstream.Path == kind))
		}
	}
	metric("meshlink_upstream_rtt_seconds", "gauge", "Round trip of the latest answered ping.")
	for _, upstream := range documents {
		if upstream.RTTMs != nil {
			fmt.Fprintf(w, "meshlink_upstream_rtt_seconds{upstream=%q} %g\n", upstream.Name, *upstream.RTTMs/1000)
		}
	}
	metric("meshlink_upstream_tunnels", "gauge", "Tunnels open now.")
	for _, upstream := range documents {
		fmt.Fprintf(w, "meshlink_upstream_tunnels{upstream=%q} %d\n", upstream.Name, upstream.Tunnels)
	}
	metric("meshlink_upstream_stalled_tunnels", "gauge", "Tunnels whose bytes to the home have waited for ten seconds.")
	for _, upstream := range documents {
		fmt.Fprintf(w, "meshlink_upstream_stalled_tunnels{upstream=%q} %d\n", upstream.Name, s.stalled(upstream.Name))
	}
}

func oneIf(condition bool) int {
	if condition {
		return 1
	}
	return 0
}
