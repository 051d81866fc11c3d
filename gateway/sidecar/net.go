package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"tailscale.com/envknob"
	"tailscale.com/net/netcheck"
	"tailscale.com/tsnet"
	"tailscale.com/util/clientmetric"

	"hearth.dev/meshlink/internal/linklocal"
)

// netFacts is what was decided about the network before anything ran.
type netFacts struct {
	linkLocal linklocal.State
	mtu       int
}

// useLinkLocal lets Tailscale use a link-local IPv4 address where that is all
// there is.
func useLinkLocal(mode linklocal.Mode, log *slog.Logger) linklocal.State {
	addrs, err := linklocal.Addrs()
	if err != nil {
		log.Warn("the addresses of this machine cannot be read", "error", err.Error())
	}
	setenv := func(name, value string) error {
		envknob.Setenv(name, value)
		return nil
	}
	state, err := linklocal.Apply(mode, addrs, os.Getenv, setenv)
	switch {
	case err != nil:
		log.Warn("link-local IPv4 cannot be made usable", "error", err.Error())
	case state == linklocal.Applied:
		log.Info("link-local IPv4 counts as usable", "mode", string(mode))
	case state == linklocal.Hidden:
		log.Warn("link-local IPv4 cannot be made usable: this process is taken for a container that serves PORT", "fix", "Run meshlink as a sidecar, without PORT in its environment.")
	}
	return state
}

// transportOptions is the part of Tailscale's network stack that takes settings.
type transportOptions interface {
	SetTransportProtocolOption(tcpip.TransportProtocolNumber, tcpip.SettableTransportProtocolOption) tcpip.Error
}

// setRACK chooses how TCP inside the tailnet finds losses (RFC 8985). Connections
// opened before keep what they have.
func setRACK(server *tsnet.Server, on bool) error {
	impl, _ := server.Sys().Netstack.GetOK()
	stack, ok := impl.(transportOptions)
	if !ok {
		return fmt.Errorf("the network stack is a %T", impl)
	}
	option := tcpip.TCPRecovery(0)
	if on {
		option = tcpip.TCPRACKLossDetection
	}
	if err := stack.SetTransportProtocolOption(tcp.ProtocolNumber, &option); err != nil {
		return fmt.Errorf("%s", err)
	}
	return nil
}

// netcheck returns the node's latest look at the network, or nil before the first.
func (m *Member) netcheck(ctx context.Context) *netcheck.Report {
	conn, ok := m.server.Sys().MagicSock.GetOK()
	if !ok {
		return nil
	}
	return conn.GetLastNetcheckReport(ctx)
}

// rebinds counts how often the sockets were closed and opened again since the
// process began.
func rebinds() int64 {
	for _, metric := range clientmetric.Metrics() {
		if metric.Name() == "magicsock_rebind_calls" {
			return metric.Value()
		}
	}
	return 0
}
