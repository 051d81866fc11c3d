package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

const keepAliveEvery = 50 * time.Second

// streams takes the nodes' map requests over from the test control plane, which
// knows only that all nodes are online and that everything is allowed. As with a
// real one, a node is online while it holds its stream open, and whatever faults
// says shows in the next response.
type streams struct {
	control *testcontrol.Server
	faults  *faults

	// nodes is held while a node is read, changed and written back.
	nodes sync.Mutex

	mu   sync.Mutex
	open map[key.NodePublic]*stream // the latest one of each node
}

// stream is one open map request.
type stream struct {
	wake chan struct{} // has room for one: several changes are one response
	cut  context.CancelFunc
}

func newStreams(control *testcontrol.Server, faults *faults) *streams {
	return &streams{control: control, faults: faults, open: map[key.NodePublic]*stream{}}
}

// serve answers one map request; a streaming one until ctx ends.
func (s *streams) serve(ctx context.Context, w testcontrol.MapStreamWriter, request *tailcfg.MapRequest) {
	if s.control.Node(request.NodeKey) == nil || s.faults.streamsDropped() {
		return
	}
	if !request.Stream || request.ReadOnly {
		if ctx.Err() == nil && !request.ReadOnly {
			s.record(request)
		}
		w.SendMapMessage(&tailcfg.MapResponse{})
		return
	}
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	this := s.enter(request.NodeKey, cut)
	defer s.leave(request.NodeKey, this)
	s.feed(ctx, w, request, this)
}

func (s *streams) feed(ctx context.Context, w testcontrol.MapStreamWriter, request *tailcfg.MapRequest, this *stream) {
	keepAlive := time.NewTicker(keepAliveEvery)
	defer keepAlive.Stop()
	response := s.response(request)
	for {
		if response != nil && !s.faults.streamsHeld() && w.SendMapMessage(response) != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-this.wake:
			response = s.response(request)
		case <-keepAlive.C:
			response = &tailcfg.MapResponse{KeepAlive: true}
		}
	}
}

// response is what the node may know by now; nil when it is no node any more.
func (s *streams) response(request *tailcfg.MapRequest) *tailcfg.MapResponse {
	response, err := s.control.MapResponse(request)
	if err != nil || response == nil {
		return nil
	}
	s.faults.amend(response)
	return response
}

// enter registers a stream and ends the node's earlier one.
func (s *streams) enter(node key.NodePublic, cut context.CancelFunc) *stream {
	s.faults.arrived(node)
	this := &stream{wake: make(chan struct{}, 1), cut: cut}
	s.mu.Lock()
	if earlier := s.open[node]; earlier != nil {
		earlier.cut()
	}
	s.open[node] = this
	s.mu.Unlock()
	s.change(node, func(node *tailcfg.Node) { node.Online = new(true) })
	return this
}

func (s *streams) leave(node key.NodePublic, this *stream) {
	s.mu.Lock()
	latest := s.open[node] == this
	if latest {
		delete(s.open, node)
	}
	s.mu.Unlock()
	if latest {
		s.change(node, func(node *tailcfg.Node) { node.Online, node.LastSeen = new(false), new(time.Now()) })
	}
}

// record keeps what a node says about itself.
func (s *streams) record(request *tailcfg.MapRequest) {
	s.change(request.NodeKey, func(node *tailcfg.Node) {
		node.Endpoints, node.DiscoKey, node.Cap = slices.Clone(request.Endpoints), request.DiscoKey, request.Version
		if request.Hostinfo == nil {
			return
		}
		node.Hostinfo = request.Hostinfo.View()
		if net := request.Hostinfo.NetInfo; net != nil && net.PreferredDERP != 0 {
			node.HomeDERP = net.PreferredDERP
		}
	})
}

// change writes a change of a node back and tells everybody.
func (s *streams) change(id key.NodePublic, change func(*tailcfg.Node)) {
	s.nodes.Lock()
	node := s.control.Node(id)
	if node != nil {
		change(node)
		s.control.UpdateNode(node)
	}
	s.nodes.Unlock()
	s.wakeAll()
}

func (s *streams) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range s.open {
		select {
		case stream.wake <- struct{}{}:
		default:
		}
	}
}

// cutAll ends every open stream; the nodes come back by themselves.
func (s *streams) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range s.open {
		stream.cut()
	}
}
