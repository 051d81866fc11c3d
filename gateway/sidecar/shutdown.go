package main

import (
	"context"
	"log/slog"
	"time"
)

// The platform gives ten seconds after SIGTERM. Leaving the tailnet takes up to
// five when the control plane is gone, so the tunnels get at most four.
const (
	drainTimeout = 4 * time.Second
	leaveTimeout = 5200 * time.Millisecond
	// tellTimeout leaves the clients of cut tunnels time to ask for the reason.
	tellTimeout = 250 * time.Millisecond
)

// shutDown refuses new tunnels, lets the open ones end, and then takes the node
// out of the tailnet. It returns within 9.2 seconds whatever hangs.
func shutDown(connect *ConnectServer, leaveTailnet context.CancelFunc, left <-chan struct{}, log *slog.Logger) {
	started := time.Now()
	connect.Drain()
	cut := connect.Finish(drainTimeout)
	drained := time.Since(started)
	leaveTailnet()
	if cut > 0 {
		defer func() { <-time.After(time.Until(started.Add(drained + tellTimeout))) }()
	}
	timer := time.NewTimer(leaveTimeout)
	defer timer.Stop()
	inOrder := true
	select {
	case <-left:
	case <-timer.C:
		inOrder = false
	}
	log.Info("stopped", "tunnelsCut", cut, "drainMs", drained.Milliseconds(),
		"totalMs", time.Since(started).Milliseconds(), "leftTailnet", inOrder)
}
