package main

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"hearth.dev/meshlink/internal/codes"
	"hearth.dev/meshlink/internal/pipe"
)

// cutsKept is how many ends of tunnels can be asked about afterwards.
const cutsKept = 256

const processBytes = 5

// Tunnel is one connection that is being copied.
type Tunnel struct {
	ID       string // cannot be guessed
	Upstream string
	Peer     Peer
	Since    time.Time
	Clocks   pipe.Clocks // A is the client, B the home

	end context.CancelCauseFunc
}

// TunnelTable knows the open tunnels, and why the latest ones were cut from here.
type TunnelTable struct {
	process string // begins every id, so that another process knows that it never had it

	mu   sync.Mutex
	open map[string]*Tunnel
	cuts []TunnelEnd // the oldest first
}

// TunnelEnd is the answer of GET /v1/tunnels/ID. Detail may hold inner names.
type TunnelEnd struct {
	ID       string     `json:"id,omitempty"`
	Upstream string     `json:"upstream,omitempty"`
	State    string     `json:"state"` // open, cut, unknown, or foreign: of another process
	Code     codes.Code `json:"code,omitempty"`
	Message  string     `json:"message,omitempty"`
	Detail   string     `json:"detail,omitempty"`
}

func newTunnelTable() *TunnelTable {
	return &TunnelTable{process: rand.Text()[:processBytes], open: map[string]*Tunnel{}}
}

// add makes a tunnel whose context ends when it is cut. The caller removes it.
func (t *TunnelTable) add(ctx context.Context, upstream string, peer Peer) (context.Context, *Tunnel) {
	ctx, end := context.WithCancelCause(ctx)
	tunnel := &Tunnel{ID: t.process + "." + rand.Text(), Upstream: upstream, Peer: peer, Since: time.Now(), end: end}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[tunnel.ID] = tunnel
	return ctx, tunnel
}

// remove forgets a tunnel that ended by itself.
func (t *TunnelTable) remove(tunnel *Tunnel) {
	t.mu.Lock()
	delete(t.open, tunnel.ID)
	t.mu.Unlock()
	tunnel.end(nil)
}

// cut resets those of these tunnels that are still open and returns how many that
// were. The reason can be asked for before anybody feels the reset.
func (t *TunnelTable) cut(tunnels []*Tunnel, why *codes.Error) (cut int) {
	for _, tunnel := range tunnels {
		if t.note(tunnel, why) {
			tunnel.end(why)
			cut++
		}
	}
	return cut
}

func (t *TunnelTable) note(tunnel *Tunnel, why *codes.Error) (open bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[tunnel.ID] == nil {
		return false
	}
	delete(t.open, tunnel.ID)
	if len(t.cuts) == cutsKept {
		t.cuts = append(t.cuts[:0], t.cuts[1:]...)
	}
	t.cuts = append(t.cuts, TunnelEnd{tunnel.ID, tunnel.Upstream, "cut", why.Code, why.Code.Meaning().Public, why.Detail})
	return true
}

// all returns the tunnels that are open now.
func (t *TunnelTable) all() []*Tunnel {
	t.mu.Lock()
	defer t.mu.Unlock()
	tunnels := make([]*Tunnel, 0, len(t.open))
	for _, tunnel := range t.open {
		tunnels = append(tunnels, tunnel)
	}
	return tunnels
}

// countOf returns how many tunnels to an upstream are open.
func (t *TunnelTable) countOf(upstream string) (open int) {
	for _, tunnel := range t.all() {
		if tunnel.Upstream == upstream {
			open++
		}
	}
	return open
}

// heard returns when a byte last came in for a tunnel to an upstream, from either
// side, among those that are open.
func (t *TunnelTable) heard(upstream string) (latest time.Time) {
	for _, tunnel := range t.all() {
		for _, clock := range []*pipe.Clock{&tunnel.Clocks.AToB, &tunnel.Clocks.BToA} {
			if at := clock.Heard(); tunnel.Upstream == upstream && at.After(latest) {
				latest = at
			}
		}
	}
	return latest
}

// find says what became of the tunnel with this id.
func (t *TunnelTable) find(id string) TunnelEnd {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tunnel := t.open[id]; tunnel != nil {
		return TunnelEnd{ID: tunnel.ID, Upstream: tunnel.Upstream, State: "open"}
	}
	for _, end := range t.cuts {
		if end.ID == id {
			return end
		}
	}
	if process, _, found := strings.Cut(id, "."); found && len(process) == processBytes && process != t.process {
		return TunnelEnd{State: "foreign"}
	}
	return TunnelEnd{State: "unknown"}
}
