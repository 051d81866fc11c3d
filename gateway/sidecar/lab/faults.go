package main

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// strangerID is the account of homes that are shared in from somebody else.
const strangerID tailcfg.UserID = 456

// everyNode stands for all nodes where a name is wanted.
const everyNode = ""

// faults is everything that is wrong in the tailnet on purpose. Nodes are named
// by their hostname. Its zero value is not ready: see newFaults.
type faults struct {
	mu           sync.Mutex
	approval     bool                    // nodes that come now must be approved
	known        map[key.NodePublic]bool // true while the node waits for approval
	retryAfter   string                  // seconds, while registrations are refused
	expired      map[key.NodePublic]bool
	allExpired   bool
	hidden       map[string]bool // not in the others' maps
	denied       map[string]map[uint16]bool
	capabilities map[string]map[tailcfg.NodeCapability]bool
	shared       map[string]string // the other account's DNS suffix
	derpMap      *tailcfg.DERPMap
	held         bool // streams stay open and say nothing
	dropped      bool // streams end at once
}

func newFaults(derpMap *tailcfg.DERPMap) *faults {
	return &faults{
		derpMap:      derpMap,
		known:        map[key.NodePublic]bool{},
		expired:      map[key.NodePublic]bool{},
		hidden:       map[string]bool{},
		denied:       map[string]map[uint16]bool{},
		capabilities: map[string]map[tailcfg.NodeCapability]bool{},
		shared:       map[string]string{},
	}
}

// change runs change alone.
func (f *faults) change(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *faults) streamsHeld() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held
}

func (f *faults) streamsDropped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped
}

// rateLimit says whether a registration is refused with 429. See testcontrol.
func (f *faults) rateLimit() (reject bool, retryAfter, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.retryAfter != "", f.retryAfter, "slow down"
}

// arrived notes a node; one that is new while approval is required waits for it.
func (f *faults) arrived(node key.NodePublic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.known[node]; !known {
		f.known[node] = f.approval
	}
}

// approve lets the waiting ones of these nodes in.
func (f *faults) approve(nodes []key.NodePublic) {
	for _, node := range nodes {
		f.known[node] = false
	}
}

// amend puts the faults into what a node is told.
func (f *faults) amend(response *tailcfg.MapResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	self := response.Node
	name := self.Hostinfo.Hostname()
	response.DERPMap = f.derpMap
	self.MachineAuthorized = !f.known[self.Key]
	f.expire(self)
	for capability := range f.capabilities[name] {
		if self.CapMap == nil {
			self.CapMap = tailcfg.NodeCapMap{}
		}
		self.CapMap[capability] = nil
	}
	if ports := f.denied[name]; len(ports) > 0 {
		response.PacketFilter = allowAllBut(ports)
	}
	// The test control plane's clock stands still in 2020, where nothing has expired yet.
	response.ControlTime = new(time.Now())
	response.Peers = slices.DeleteFunc(response.Peers, func(peer *tailcfg.Node) bool {
		gone := f.known[peer.Key] || f.hidden[peer.Hostinfo.Hostname()]
		if gone {
			response.PeersRemoved = append(response.PeersRemoved, peer.ID) // an empty list of peers means no change
		}
		return gone
	})
	for _, peer := range response.Peers {
		f.expire(peer)
		f.share(peer, response)
	}
}

func (f *faults) expire(node *tailcfg.Node) {
	if f.allExpired || f.expired[node.Key] {
		node.KeyExpiry = time.Now().Add(-time.Minute)
	}
}

// share makes peer look as a node of another account does: another user, another
// DNS suffix, no tags.
func (f *faults) share(peer *tailcfg.Node, response *tailcfg.MapResponse) {
	suffix, shared := f.shared[peer.Hostinfo.Hostname()]
	if !shared {
		return
	}
	host, _, _ := strings.Cut(peer.Name, ".")
	peer.Name = host + "." + suffix + "."
	peer.User, peer.Sharer, peer.Tags = strangerID, strangerID, nil
	response.UserProfiles = append(response.UserProfiles, tailcfg.UserProfile{ID: strangerID, LoginName: "stranger@" + suffix})
}

// allowAllBut lets every peer reach every port but the given ones.
func allowAllBut(ports map[uint16]bool) []tailcfg.FilterRule {
	rule := tailcfg.FilterRule{SrcIPs: []string{"*"}}
	first := 0
	for _, port := range append(slices.Sorted(maps.Keys(ports)), 65535) {
		last := int(port) - 1
		if port == 65535 && !ports[port] {
			last = 65535
		}
		if first <= last {
			allowed := tailcfg.PortRange{First: uint16(first), Last: uint16(last)}
			rule.DstPorts = append(rule.DstPorts, tailcfg.NetPortRange{IP: "*", Ports: allowed})
		}
		first = int(port) + 1
	}
	return []tailcfg.FilterRule{rule}
}
