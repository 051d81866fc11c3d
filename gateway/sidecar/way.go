package main

import "time"

// Way is how packets reach a peer at the moment.
type Way struct {
	Kind     string // direct, peer_relay, derp or none
	Endpoint string // of the peer or the peer relay
	Derp     string // region code
	RTT      time.Duration
	Measured bool // RTT is known
}

// wayOf says what is known without asking anybody. measured is the latest ping of
// this peer, or its zero value.
func wayOf(peer Peer, measured PathResult) Way {
	way := Way{Kind: "none"}
	if measured.OK {
		way.RTT, way.Measured = measured.RTT, true
	}
	switch {
	case peer.CurAddr != "":
		way.Kind, way.Endpoint = "direct", peer.CurAddr
	case peer.PeerRelay != "":
		way.Kind, way.Endpoint = "peer_relay", peer.PeerRelay
	case measured.OK && measured.Endpoint != "":
		way.Kind, way.Endpoint = "direct", measured.Endpoint
	case peer.Relay != "" && (measured.OK || peer.Active):
		way.Kind, way.Derp = "derp", peer.Relay
	}
	return way
}

// rttMs is nil while the time is not known.
func (w Way) rttMs() *float64 {
	if !w.Measured {
		return nil
	}
	value := milliseconds(w.RTT)
	return &value
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
