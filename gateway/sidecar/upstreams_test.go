package main

import (
	"net/netip"
	"strings"
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

// shared is a node of another account, as this tailnet sees it.
func shared(peer *ipnstate.PeerStatus) *ipnstate.PeerStatus {
	label, _, _ := strings.Cut(peer.DNSName, ".")
	peer.DNSName = label + ".stranger.ts.net."
	return peer
}

func TestNamesReachSharedNodesButNeverInPlaceOfOurs(t *testing.T) {
	status := statusOf(
		peerOf("both", false, nil, "100.64.0.1"), shared(peerOf("both", true, nil, "100.64.1.1")),
		shared(peerOf("theirs", true, []string{"tag:gpu"}, "100.64.1.2")),
		peerOf("mine", true, []string{"tag:gpu"}, "100.64.0.2"))
	status.CurrentTailnet = &ipnstate.TailnetStatus{MagicDNSSuffix: "lab.test"}
	sharee := peerOf("visitor", true, []string{"tag:gpu"}, "100.64.2.1")
	sharee.ShareeNode = true
	status.Peer[key.NewNode().Public()] = sharee
	for _, test := range []struct {
		upstream Upstream
		want     string // addresses
	}{
		{Upstream{Host: "theirs"}, "100.64.1.2"},
		{Upstream{Host: "THEIRS.stranger.ts.net"}, "100.64.1.2"},
		{Upstream{Host: "theirs.stranger.ts.net."}, "100.64.1.2"},
		{Upstream{Host: "both"}, "100.64.0.1"}, // although only theirs is online
		{Upstream{Host: "both.stranger.ts.net"}, "100.64.1.1"},
		{Upstream{Host: "both.lab.test"}, "100.64.0.1"},
		{Upstream{Host: "theirs.lab.test"}, ""},
		{Upstream{Tag: "tag:gpu"}, "100.64.0.2"},
		{Upstream{Host: "visitor"}, ""},
	} {
		got := ""
		for _, peer := range candidates(test.upstream, status) {
			got += peer.IP.String()
		}
		if got != test.want {
			t.Errorf("%s means %q, want %q", test.upstream.selector(), got, test.want)
		}
	}
}

func TestAHostNameThatLooksLikeAFullNameDoesNotBeatTheRealOne(t *testing.T) {
	status := statusOf(peerOf("pc", true, nil, "100.64.0.1"), peerOf("other", true, nil, "100.64.0.2"))
	for _, peer := range status.Peer {
		if peer.HostName == "other" {
			peer.HostName = "pc.lab.test"
		}
	}
	if found := candidates(Upstream{Host: "pc.lab.test"}, status); len(found) != 1 || found[0].IP.String() != "100.64.0.1" {
		t.Errorf("found %v", found)
	}
}

func TestWhatAPeerRoutesForOthersIsNeverAnAddressToDial(t *testing.T) {
	router := peerOf("router", true, []string{"tag:gpu"}, "100.64.0.3")
	routes := views.SliceOf([]netip.Prefix{netip.MustParsePrefix("169.254.169.254/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("0.0.0.0/0")})
	router.AllowedIPs, router.PrimaryRoutes, router.ExitNode, router.ExitNodeOption = &routes, &routes, true, true
	service := peerOf("service", true, []string{"tag:gpu"}, "100.100.100.100", "fd7a:115c:a1e0::53")
	for _, peer := range candidates(Upstream{Tag: "tag:gpu"}, statusOf(router, service)) {
		if peer.IP.String() != "100.64.0.3" {
			t.Errorf("%s may be dialled at %s", peer.HostName, peer.IP)
		}
	}
}
