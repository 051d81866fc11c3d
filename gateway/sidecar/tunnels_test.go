package main

import (
	"context"
	"errors"
	"testing"

	"hearth.dev/meshlink/internal/codes"
)

func TestACutTunnelSaysWhyAndOneThatEndedByItselfIsForgotten(t *testing.T) {
	table := newTunnelTable()
	ctx, cut := table.add(t.Context(), "gpu", Peer{})
	_, ended := table.add(t.Context(), "gpu", Peer{})
	if cut.ID == ended.ID || len(cut.ID) < 20 || len(cut.ID) > 32 {
		t.Errorf("ids %q and %q, want two that nobody can guess", cut.ID, ended.ID)
	}
	if found := table.find(cut.ID); found.State != "open" || found.Upstream != "gpu" {
		t.Errorf("an open tunnel is %+v", found)
	}
	why := codes.Fail(codes.PeerLost, "home-gpu fell silent")
	table.remove(ended)
	if n := table.cut([]*Tunnel{cut, ended}, why); n != 1 {
		t.Errorf("%d tunnels cut, want the one that was open", n)
	}
	if !errors.Is(context.Cause(ctx), why) {
		t.Errorf("the cut tunnel's context says %v", context.Cause(ctx))
	}
	if found := table.find(cut.ID); found.State != "cut" || found.Code != codes.PeerLost || found.Message == "" || found.Detail != why.Detail {
		t.Errorf("the cut tunnel is %+v", found)
	}
	for _, id := range []string{ended.ID, "", "nonsense"} {
		if found := table.find(id); found != (TunnelEnd{State: "unknown"}) {
			t.Errorf("find(%q) = %+v, want unknown", id, found)
		}
	}
}

func TestATunnelOfAnotherProcessIsToldFromOneThatEnded(t *testing.T) {
	before, after := newTunnelTable(), newTunnelTable()
	_, tunnel := before.add(t.Context(), "gpu", Peer{})
	if found := after.find(tunnel.ID); found != (TunnelEnd{State: "foreign"}) {
		t.Errorf("a tunnel of the process before is %+v, want foreign", found)
	}
}

func TestOnlyTheLatestCutTunnelsAreRemembered(t *testing.T) {
	table := newTunnelTable()
	var ids []string
	for range cutsKept + 1 {
		_, tunnel := table.add(t.Context(), "gpu", Peer{})
		ids = append(ids, tunnel.ID)
		table.cut([]*Tunnel{tunnel}, codes.Fail(codes.Draining, ""))
	}
	if table.find(ids[0]).State != "unknown" || table.find(ids[1]).State != "cut" || table.find(ids[cutsKept]).State != "cut" {
		t.Error("want all but the first to be remembered")
	}
	if open := table.all(); len(open) != 0 {
		t.Errorf("%d cut tunnels are still open", len(open))
	}
}
