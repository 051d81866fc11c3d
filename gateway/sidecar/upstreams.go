package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tailscale.com/ipn/ipnstate"
	"tailscale.com/net/tsaddr"
)

// Upstream is one place in the tailnet that tunnels may lead to.
type Upstream struct {
	Name string
	Tag  string // like tag:gpu; either Tag or Host is set
	Host string
	Port uint16
}

var (
	upstreamName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	hostName     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$`)
	tagName      = regexp.MustCompile(`^tag:[A-Za-z][A-Za-z0-9-]{0,62}$`)
)

const upstreamWanted = "NAME=tag:TAG:PORT or NAME=name:HOST:PORT, separated by commas"

// parseUpstreams reads MESH_UPSTREAMS; it returns every problem, not the first.
func parseUpstreams(value string) (upstreams []Upstream, problems []string) {
	seen := map[string]bool{}
	for entry := range strings.SplitSeq(value, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		upstream, err := parseUpstream(entry)
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("%q: %v", entry, err))
		case seen[upstream.Name]:
			problems = append(problems, fmt.Sprintf("%q: the name %s is given twice", entry, upstream.Name))
		default:
			seen[upstream.Name] = true
			upstreams = append(upstreams, upstream)
		}
	}
	if len(upstreams) == 0 && len(problems) == 0 {
		problems = []string{"is empty"}
	}
	return upstreams, problems
}

func parseUpstream(entry string) (Upstream, error) {
	name, where, _ := strings.Cut(entry, "=")
	parts := strings.Split(where, ":")
	if !upstreamName.MatchString(name) {
		return Upstream{}, fmt.Errorf("the name %q must be lower-case letters, digits and dashes", name)
	}
	if len(parts) != 3 {
		return Upstream{}, fmt.Errorf("want %s", upstreamWanted)
	}
	port, err := strconv.ParseUint(parts[2], 10, 16)
	if err != nil || port == 0 {
		return Upstream{}, fmt.Errorf("the port %q must be 1 to 65535", parts[2])
	}
	upstream := Upstream{Name: name, Port: uint16(port)}
	switch {
	case parts[0] == "tag" && tagName.MatchString("tag:"+parts[1]):
		upstream.Tag = "tag:" + parts[1]
	case parts[0] == "name" && hostName.MatchString(parts[1]):
		upstream.Host = parts[1]
	default:
		return Upstream{}, fmt.Errorf("want %s", upstreamWanted)
	}
	return upstream, nil
}

// Peer is a node of the tailnet that an upstream may mean.
type Peer struct {
	*ipnstate.PeerStatus
	IP netip.Addr
}

// candidates returns the peers that upstream means, best first: online before
// offline, then those with a direct path. Only addresses of the tailnet count.
func candidates(upstream Upstream, status *ipnstate.Status) []Peer {
	var peers []Peer
	for _, peer := range status.Peer {
		if !upstream.means(peer) || peer.Expired {
			continue
		}
		if ip, ok := tailnetIP(peer.TailscaleIPs); ok {
			peers = append(peers, Peer{peer, ip})
		}
	}
	slices.SortFunc(peers, func(a, b Peer) int {
		return cmp.Or(
			trueFirst(a.Online, b.Online),
			trueFirst(a.CurAddr != "", b.CurAddr != ""),
			b.Created.Compare(a.Created), // a home that came back as a new node
			a.IP.Compare(b.IP),
		)
	})
	return peers
}

func (u Upstream) means(peer *ipnstate.PeerStatus) bool {
	if u.Tag != "" {
		return peer.Tags != nil && slices.Contains(peer.Tags.AsSlice(), u.Tag)
	}
	dnsName := strings.TrimSuffix(peer.DNSName, ".")
	label, _, _ := strings.Cut(dnsName, ".")
	return strings.EqualFold(u.Host, label) || strings.EqualFold(u.Host, dnsName) || strings.EqualFold(u.Host, peer.HostName)
}

// tailnetIP picks the IPv4 address before IPv6, and nothing outside the tailnet.
func tailnetIP(ips []netip.Addr) (netip.Addr, bool) {
	var best netip.Addr
	for _, ip := range ips {
		if tsaddr.IsTailscaleIP(ip) && (!best.IsValid() || (ip.Is4() && !best.Is4())) {
			best = ip
		}
	}
	return best, best.IsValid()
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}
