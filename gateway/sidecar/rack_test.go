package main

import (
	"context"
	"slices"
	"testing"
	"time"
)

func TestRACKUploadsFasterOverAWireThatLosesPackets(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about ten seconds: left out by -short")
	}
	needsWire(t)
	l := startLab(t, "--lose-percent", "0.5")
	serveHome(t, l, false)
	sides := map[string]*sidecar{}
	for _, rack := range []string{"on", "off"} {
		sides[rack] = startReadySidecar(t, l.env("MESH_UPSTREAMS=gpu=tag:gpu:80", "MESH_BULK=off", "MESH_RACK="+rack))
		sides[rack].awaitDirect()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	took := map[string][]time.Duration{}
	for range 9 { // side by side, so that other work of the machine hits both
		for rack, s := range sides {
			began := time.Now()
			if err := s.upload(ctx, 4<<20); err != nil {
				t.Fatalf("RACK %s: %v", rack, err)
			}
			took[rack] = append(took[rack], time.Since(began))
		}
	}
	// The median: a single upload that waits for a retransmission timer takes longer than all others.
	on, off := median(took["on"]), median(took["off"])
	t.Logf("4 MiB with RACK %s, without %s", on.Round(time.Millisecond), off.Round(time.Millisecond))
	if on > off {
		t.Errorf("4 MiB took %v with RACK and %v without", took["on"], took["off"])
	}
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
