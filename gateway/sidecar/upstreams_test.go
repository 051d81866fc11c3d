package main

import (
	"net/netip"
	"testing"
	"time"

	"tailscale.com/ipn/ipnstate"
	"tailscale.com/types/key"
	"tailscale.com/types/views"
)

func peerOf(name string, online bool, tags []string, ips ...string) *ipnstate.PeerStatus {
	slice := views.SliceOf(tags)
	peer := &ipnstate.PeerStatus{HostName: name, DNSName: name + ".lab.test.", Online: online, Tags: &slice}
	for _, ip := range ips {
		peer.TailscaleIPs = append(peer.TailscaleIPs, netip.MustParseAddr(ip))
	}
	return peer
}

func statusOf(peers ...*ipnstate.PeerStatus) *ipnstate.Status {
	status := &ipnstate.Status{Peer: map[key.NodePublic]*ipnstate.PeerStatus{}}
	for _, peer := range peers {
		status.Peer[key.NewNode().Public()] = peer
	}
	return status
}

func namesOf(peers []Peer) []string {
	var names []string
	for _, peer := range peers {
		names = append(names, peer.HostName)
	}
	return names
}

func TestCandidatesComeOnlineFirstThenDirectThenNewest(t *testing.T) {
	gpu := []string{"tag:gpu"}
	direct := peerOf("direct", true, gpu, "100.64.0.4")
	direct.CurAddr = "127.0.0.1:1"
	newer := peerOf("newer", true, gpu, "100.64.0.6")
	newer.Created = time.Now()
	expired := peerOf("expired", true, gpu, "100.64.0.9")
	expired.Expired = true
	status := statusOf(peerOf("offline", false, gpu, "100.64.0.1"), peerOf("older", true, gpu, "100.64.0.5"), newer, direct, expired,
		peerOf("other", true, []string{"tag:web"}, "100.64.0.2"))
	names := namesOf(candidates(Upstream{Tag: "tag:gpu"}, status))
	if want := []string{"direct", "newer", "older", "offline"}; len(names) != 4 || names[0] != want[0] || names[1] != want[1] || names[2] != want[2] || names[3] != want[3] {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestCandidatesByNameMatchTheMachineNotAPartOfIt(t *testing.T) {
	status := statusOf(peerOf("pc", true, nil, "100.64.0.1"), peerOf("pc-2", true, nil, "100.64.0.2"))
	for host, want := range map[string]int{"pc": 1, "PC": 1, "pc.lab.test": 1, "p": 0, "lab": 0, "pc.lab": 0} {
		if got := len(candidates(Upstream{Host: host}, status)); got != want {
			t.Errorf("name:%s matches %d peers, want %d", host, got, want)
		}
	}
}

func TestCandidatesNeverHaveAnAddressOutsideTheTailnet(t *testing.T) {
	status := statusOf(
		peerOf("evil", true, nil, "169.254.169.254", "10.0.0.1", "8.8.8.8", "::1"),
		peerOf("six", true, nil, "fd7a:115c:a1e0::7"),
		peerOf("both", true, nil, "fd7a:115c:a1e0::8", "100.64.0.8"))
	if found := candidates(Upstream{Host: "evil"}, status); len(found) != 0 {
		t.Errorf("a peer with foreign addresses is a candidate: %v", found[0].IP)
	}
	for host, want := range map[string]string{"six": "fd7a:115c:a1e0::7", "both": "100.64.0.8"} {
		if found := candidates(Upstream{Host: host}, status); len(found) != 1 || found[0].IP.String() != want {
			t.Errorf("%s: %v, want %s", host, found, want)
		}
	}
}
