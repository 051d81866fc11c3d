package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tailscale.com/ipn/ipnstate"
	"tailscale.com/types/key"

	"hearth.dev/meshlink/internal/codes"
)

const (
	watchEvery = time.Second
	// A ping to a peer that the map calls offline has less time: it is the second
	// witness, not the only one.
	watchPing   = 1500 * time.Millisecond
	confirmPing = 800 * time.Millisecond
)

// PeerWatch cuts the tunnels of peers that are gone: without it a tunnel to a dead
// home hangs for minutes, because nothing on it says so.
type PeerWatch struct {
	tailnet *Tailnet
	tunnels *TunnelTable
	metrics *Metrics
	log     *slog.Logger
	limit   time.Duration // of silence

	peers map[key.NodePublic]*watchedPeer // only Run touches it
}

// watchedPeer is a peer that tunnels are open to.
type watchedPeer struct {
	pulse   pulse
	peer    Peer
	tunnels []*Tunnel

	asking      atomic.Bool
	pongs, lost atomic.Int64
}

func newPeerWatch(config Config, tailnet *Tailnet, tunnels *TunnelTable, metrics *Metrics, log *slog.Logger) *PeerWatch {
	return &PeerWatch{
		tailnet: tailnet, tunnels: tunnels, metrics: metrics, log: log, limit: config.PeerWatch,
		peers: map[key.NodePublic]*watchedPeer{},
	}
}

// Run watches until ctx ends.
func (w *PeerWatch) Run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	for pauseFor(ctx, watchEvery) {
		w.gather()
		member := w.tailnet.view().member
		if member == nil || len(w.peers) == 0 {
			continue // who is not in the tailnet cannot tell silence from its own absence
		}
		status, err := member.networkMap(ctx)
		if err != nil {
			continue
		}
		for _, watched := range w.peers {
			w.lookAt(ctx, member, watched, status, &asking)
		}
	}
}

// gather finds out which peers tunnels are open to now.
func (w *PeerWatch) gather() {
	for _, watched := range w.peers {
		watched.tunnels = nil
	}
	for _, tunnel := range w.tunnels.all() {
		watched := w.peers[tunnel.Peer.PublicKey]
		if watched == nil {
			watched = &watchedPeer{peer: tunnel.Peer}
			w.peers[tunnel.Peer.PublicKey] = watched
		}
		watched.tunnels = append(watched.tunnels, tunnel)
	}
	for public, watched := range w.peers {
		if len(watched.tunnels) == 0 {
			delete(w.peers, public)
		}
	}
}

func (w *PeerWatch) lookAt(ctx context.Context, member *Member, watched *watchedPeer, status *ipnstate.Status, asking *sync.WaitGroup) {
	look := watched.see(status)
	if watched.pulse.look.now.IsZero() {
		watched.pulse = newPulse(look)
	}
	var what verdict
	watched.pulse, what = watched.pulse.next(look, w.limit)
	switch {
	case what == peerLost:
		w.cut(watched)
	case what == peerAsked && !watched.asking.Swap(true):
		asking.Go(func() { watched.ask(ctx, member, look.standing, w.metrics) })
	}
}

// see gathers the signs of life. Bytes count as WireGuard counts them, so that a
// peer that only acknowledges an upload is alive.
func (p *watchedPeer) see(status *ipnstate.Status) peerLook {
	look := peerLook{now: time.Now(), heard: p.pulse.look.heard, lost: int(p.lost.Load()), standing: standsGone}
	now, known := status.Peer[p.peer.PublicKey]
	if !known {
		return look // a pong is that of somebody who took the address over
	}
	look.heard = uint64(now.RxBytes) + uint64(p.pongs.Load())
	look.standing = standsOffline
	if now.Online {
		look.standing = standsOnline
	}
	return look
}

func (p *watchedPeer) ask(ctx context.Context, member *Member, standing standing, metrics *Metrics) {
	defer p.asking.Store(false)
	limit := watchPing
	if standing != standsOnline {
		limit = confirmPing
	}
	_, err := member.ping(ctx, p.peer.IP, limit)
	metrics.pinged(err == nil)
	if err == nil {
		p.pongs.Add(1)
	} else {
		p.lost.Add(1)
	}
}

func (w *PeerWatch) cut(watched *watchedPeer) {
	pulse := watched.pulse
	why := codes.Fail(codes.PeerLost, fmt.Sprintf("%s %s, no sign of life for %s and %d pings lost",
		watched.peer.HostName, pulse.look.standing, pulse.silent.Round(time.Second), pulse.look.lost-pulse.lostFrom))
	cut := w.tunnels.cut(watched.tunnels, why)
	w.metrics.tunnelsCut(why.Code, cut)
	w.log.Warn("a peer is gone, its tunnels are cut", "tunnels", cut, "detail", why.Detail)
	for _, tunnel := range watched.tunnels {
		w.metrics.upstream(tunnel.Upstream).setError(why)
	}
	delete(w.peers, watched.peer.PublicKey)
}
