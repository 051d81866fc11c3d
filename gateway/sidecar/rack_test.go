package main

import (
	"context"
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
	took := map[string]time.Duration{}
	for range 6 { // side by side, so that other work of the machine hits both
		for rack, s := range sides {
			began := time.Now()
			if err := s.upload(ctx, 4<<20); err != nil {
				t.Fatalf("RACK %s: %v", rack, err)
			}
			took[rack] += time.Since(began)
		}
	}
	t.Logf("24 MiB with RACK %s, without %s", took["on"].Round(time.Millisecond), took["off"].Round(time.Millisecond))
	if took["on"] > took["off"] {
		t.Errorf("24 MiB took %s with RACK and %s without", took["on"], took["off"])
	}
}
