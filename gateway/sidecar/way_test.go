package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"tailscale.com/ipn/ipnstate"
	"tailscale.com/types/key"
)

func TestTheWayToAPeerIsReadFromWhatTheNodeAndTheLatestPingSay(t *testing.T) {
	direct := "203.0.113.9:41641"
	for _, test := range []struct {
		name   string
		status ipnstate.PeerStatus
		ping   PathResult
		want   Way
	}{
		{"nothing known", ipnstate.PeerStatus{}, PathResult{}, Way{Kind: "none"}},
		{"a relay that was never used", ipnstate.PeerStatus{Relay: "fra"}, PathResult{}, Way{Kind: "none"}},
		{"a relay in use", ipnstate.PeerStatus{Relay: "fra", Active: true}, PathResult{}, Way{Kind: "derp", Derp: "fra"}},
		{"an answer by the relay", ipnstate.PeerStatus{Relay: "fra"}, PathResult{OK: true, RTT: 40 * time.Millisecond, Derp: "fra"},
			Way{Kind: "derp", Derp: "fra", RTT: 40 * time.Millisecond, Measured: true}},
		{"a direct way", ipnstate.PeerStatus{CurAddr: direct, Relay: "fra"}, PathResult{OK: true, RTT: time.Millisecond, Endpoint: direct},
			Way{Kind: "direct", Endpoint: direct, RTT: time.Millisecond, Measured: true}},
		{"a direct answer that the node does not trust yet", ipnstate.PeerStatus{Relay: "fra"}, PathResult{OK: true, Endpoint: direct},
			Way{Kind: "direct", Endpoint: direct, Measured: true}},
		{"a direct way without a ping", ipnstate.PeerStatus{CurAddr: direct}, PathResult{}, Way{Kind: "direct", Endpoint: direct}},
		{"a peer relay", ipnstate.PeerStatus{PeerRelay: "198.51.100.7:40000:vni:1", Relay: "fra"}, PathResult{},
			Way{Kind: "peer_relay", Endpoint: "198.51.100.7:40000:vni:1"}},
		{"a failed ping measures nothing", ipnstate.PeerStatus{CurAddr: direct}, PathResult{RTT: time.Second}, Way{Kind: "direct", Endpoint: direct}},
	} {
		if got := wayOf(Peer{PeerStatus: &test.status}, test.ping); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// FuzzTheStatusOfPeers feeds the mapper of the network map whatever control planes
// may send: it never fails, names only ways that exist, and no address that is not
// of the tailnet ever becomes a target.
func FuzzTheStatusOfPeers(f *testing.F) {
	f.Add("home-gpu", "home-gpu.tail-scale.ts.net.", "100.64.0.2", "203.0.113.9:41641", "fra", "", true, true)
	f.Add("", ".", "169.254.169.254", "", "", "", false, false)
	f.Add("gpu", "gpu.other.ts.net.", "fd7a:115c:a1e0::1", "", "", "198.51.100.7:1:vni:2", true, false)
	f.Add("GPU", "gpu", "::ffff:10.0.0.1", "x", "y", "z", true, true)
	f.Fuzz(func(t *testing.T, host, dns, address, endpoint, relay, peerRelay string, online, answered bool) {
		ip, err := netip.ParseAddr(address)
		if err != nil {
			return
		}
		peer := &ipnstate.PeerStatus{
			HostName: host, DNSName: dns, TailscaleIPs: []netip.Addr{ip}, Online: online,
			CurAddr: endpoint, Relay: relay, PeerRelay: peerRelay,
		}
		status := &ipnstate.Status{Self: &ipnstate.PeerStatus{}, Peer: peersOf(peer)}
		for _, candidate := range candidates(Upstream{Name: "gpu", Host: "home-gpu", Port: 80}, status) {
			if inTailnet, _ := tailnetIP([]netip.Addr{candidate.IP}); inTailnet != candidate.IP {
				t.Fatalf("%s became a target", candidate.IP)
			}
			way := wayOf(candidate, PathResult{OK: answered, Endpoint: endpoint})
			if !strings.Contains("direct peer_relay derp none", way.Kind) || (way.Kind == "derp") != (way.Derp != "") {
				t.Fatalf("the way is %+v", way)
			}
		}
	})
}

// peersOf is a network map of one peer.
func peersOf(peer *ipnstate.PeerStatus) map[key.NodePublic]*ipnstate.PeerStatus {
	peer.PublicKey = key.NewNode().Public()
	return map[key.NodePublic]*ipnstate.PeerStatus{peer.PublicKey: peer}
}
