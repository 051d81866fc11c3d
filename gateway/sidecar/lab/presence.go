package main

import (
	"sync"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

// presence tells the nodes which of them are online, as a real control plane
// does: a node is online while it holds its streaming map request open. (The
// test control plane itself only knows "all are online".)
type presence struct {
	control *testcontrol.Server

	// updates is held for reading by requests that change a node, so that
	// writing a node back never undoes a change made in between.
	updates sync.RWMutex

	mu      sync.Mutex
	streams map[key.NodePublic]int
}

func newPresence(control *testcontrol.Server) *presence {
	return &presence{control: control, streams: map[key.NodePublic]int{}}
}

func (p *presence) onMapRequest(request *tailcfg.MapRequest) (done func()) {
	if !request.Stream || request.ReadOnly {
		p.updates.RLock()
		return p.updates.RUnlock
	}
	p.add(request.NodeKey, 1)
	return func() { p.add(request.NodeKey, -1) }
}

func (p *presence) add(node key.NodePublic, delta int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams[node] += delta
	p.publish(node, p.streams[node] > 0)
}

func (p *presence) publish(id key.NodePublic, online bool) {
	p.updates.Lock()
	defer p.updates.Unlock()
	node := p.control.Node(id)
	if node == nil || (node.Online != nil && *node.Online == online) {
		return
	}
	node.Online = &online
	p.control.UpdateNode(node)
}
