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

// candidates returns the peers that upstream means: online before offline, then
// those with a direct path. Only addresses of the tailnet count.
func candidates(upstream Upstream, status *ipnstate.Status) []Peer {
	var peers []Peer
	best := noMatch + 1
	for _, peer := range status.Peer {
		match := upstream.match(peer, status)
		ip, ok := tailnetIP(peer.TailscaleIPs)
		if match < best || !ok || peer.Expired {
			continue
		}
		if match > best {
			best, peers = match, nil
		}
		peers = append(peers, Peer{peer, ip})
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

// match is how well a peer fits an upstream. Only the best that there are count.
type match int

const (
	noMatch       match = iota
	matchForeign        // a name in another tailnet, of a node that was shared in
	matchOurs           // a tag, or a name in this tailnet
	matchFullName       // the whole DNS name, which is never ambiguous
)

// match never lets a node of another account take a name that this tailnet has:
// its owner chooses the name, and would get what was meant for ours. Tags belong
// to one tailnet; nodes that ours were shared with cannot be called.
func (u Upstream) match(peer *ipnstate.PeerStatus, status *ipnstate.Status) match {
	dnsName := strings.TrimSuffix(peer.DNSName, ".")
	label, suffix, _ := strings.Cut(dnsName, ".")
	isOurs := status.CurrentTailnet == nil || status.CurrentTailnet.MagicDNSSuffix == "" || dnsName == "" ||
		strings.EqualFold(suffix, status.CurrentTailnet.MagicDNSSuffix) ||
		strings.HasSuffix(strings.ToLower(suffix), "."+strings.ToLower(status.CurrentTailnet.MagicDNSSuffix))
	switch {
	case peer.ShareeNode:
		return noMatch
	case u.Tag != "":
		if isOurs && peer.Tags != nil && slices.Contains(peer.Tags.AsSlice(), u.Tag) {
			return matchOurs
		}
		return noMatch
	case dnsName != "" && strings.Contains(u.Host, ".") && strings.EqualFold(strings.TrimSuffix(u.Host, "."), dnsName):
		return matchFullName
	case !strings.EqualFold(u.Host, label) && !strings.EqualFold(u.Host, peer.HostName):
		return noMatch
	case isOurs:
		return matchOurs
	default:
		return matchForeign
	}
}

// tailnetIP picks the IPv4 address before IPv6, and nothing outside the tailnet:
// what a peer routes for others is no address of its own, and the address of the
// node's own services answers to everybody.
func tailnetIP(ips []netip.Addr) (netip.Addr, bool) {
	var best netip.Addr
	for _, ip := range ips {
		if tsaddr.IsTailscaleIP(ip) && ip != tsaddr.TailscaleServiceIP() && ip != tsaddr.TailscaleServiceIPv6() && (!best.IsValid() || (ip.Is4() && !best.Is4())) {
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
