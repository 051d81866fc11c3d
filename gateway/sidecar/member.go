package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"tailscale.com/client/local"
	"tailscale.com/ipn"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/ipn/store/mem"
	"tailscale.com/tailcfg"
	"tailscale.com/tsnet"
	"tailscale.com/types/logger"

	"hearth.dev/meshlink/internal/auth"
	"hearth.dev/meshlink/internal/codes"
	"hearth.dev/meshlink/internal/pipe"
)

// statusAgeMax lets a burst of dials share one look at the network map.
const statusAgeMax = 200 * time.Millisecond

// Member is one registration of this process in the tailnet: an ephemeral node
// that keeps nothing on disk. It is never repaired; Tailnet replaces it.
type Member struct {
	server *tsnet.Server
	client *local.Client
	// transport carries client; its connections must be gone before Close.
	transport *http.Transport
	key       auth.Key

	mu       sync.Mutex
	status   *ipnstate.Status
	statusAt time.Time
}

// startMember starts a node; it is not in the tailnet before its bus says Running.
// The caller closes it.
func startMember(config Config, key auth.Key, generation int, log *slog.Logger) (*Member, error) {
	server := &tsnet.Server{
		Dir:           filepath.Join(config.StateDir, fmt.Sprintf("node-%d", generation)),
		Store:         new(mem.Store),
		Ephemeral:     true,
		Hostname:      config.Hostname,
		ControlURL:    config.ControlURL,
		AuthKey:       key.Value,
		AdvertiseTags: config.Tags,
		Logf:          logger.Discard,
		UserLogf:      logger.Discard,
	}
	if log.Enabled(context.Background(), slog.LevelDebug) {
		server.Logf = func(format string, args ...any) { log.Debug(fmt.Sprintf(format, args...)) }
	}
	if err := server.Start(); err != nil {
		server.Close()
		return nil, err
	}
	if err := setRACK(server, config.Net.RACK && !config.without("rack")); err != nil {
		log.Warn("the way TCP finds losses could not be set", "wanted", config.Net.RACK, "error", err.Error())
	}
	built, err := server.LocalClient()
	if err != nil {
		server.Close()
		return nil, err
	}
	transport := &http.Transport{DialContext: built.Dial}
	client := &local.Client{Dial: built.Dial, Transport: transport}
	return &Member{server: server, client: client, transport: transport, key: key}, nil
}

// watch sends what the node says about itself until ctx ends, then closes the channel.
func (m *Member) watch(ctx context.Context) <-chan ipn.Notify {
	events := make(chan ipn.Notify)
	go func() {
		defer close(events)
		watcher, err := m.client.WatchIPNBus(ctx, ipn.NotifyInitialState|ipn.NotifyNoNetMap)
		if err != nil {
			return
		}
		defer watcher.Close()
		for {
			event, err := watcher.Next()
			if err != nil {
				return
			}
			select {
			case events <- event:
			case <-ctx.Done():
				return
			}
		}
	}()
	return events
}

// networkMap returns the node's view of the tailnet, at most statusAgeMax old.
func (m *Member) networkMap(ctx context.Context) (*ipnstate.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.status != nil && time.Since(m.statusAt) < statusAgeMax {
		return m.status, nil
	}
	status, err := m.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	m.status, m.statusAt = status, time.Now()
	return status, nil
}

// online says whether peer is online by now. What cannot be known counts as online.
func (m *Member) online(ctx context.Context, peer Peer) bool {
	status, err := m.networkMap(ctx)
	if err != nil {
		return true
	}
	now, known := status.Peer[peer.PublicKey]
	return known && now.Online
}

// dial opens a connection inside the tailnet. It goes straight into the node's
// own network stack: tsnet's Dial would hand an address that has just left the
// tailnet to the system's dialer, and with it anything on the internet.
func (m *Member) dial(ctx context.Context, to netip.AddrPort) (pipe.Conn, error) {
	conn, err := m.server.Sys().Dialer.Get().NetstackDialTCP(ctx, to)
	if err != nil {
		return nil, classifyDial(ctx, err)
	}
	tunnel, ok := conn.(pipe.Conn)
	if !ok {
		conn.Close()
		return nil, codes.Fail(codes.Unknown, fmt.Sprintf("a tailnet connection of type %T cannot half-close", conn))
	}
	return tunnel, nil
}

// classifyDial gives a failed dial its code. The network stack has its own error
// values, of which only the text is stable.
func classifyDial(ctx context.Context, err error) *codes.Error {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), containsFold(err.Error(), "connection was refused"), containsFold(err.Error(), "connection refused"):
		return codes.Fail(codes.Refused, err.Error())
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout(), containsFold(err.Error(), "timed out"):
		return codes.Fail(codes.DialTimeout, err.Error())
	default:
		return codes.Fail(codes.Unknown, err.Error())
	}
}

// ping sends one disco ping. It has a deadline of its own, because a lost ping
// is otherwise waited for without end.
func (m *Member) ping(ctx context.Context, ip netip.Addr, timeout time.Duration) (*ipnstate.PingResult, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, err := m.client.Ping(ctx, ip, tailcfg.PingDisco)
	if err != nil {
		return nil, err
	}
	if result.Err != "" {
		return nil, errors.New(result.Err)
	}
	return result, nil
}

// Close takes the node out of the tailnet. With the control plane gone this
// takes five seconds.
func (m *Member) Close() error {
	// A spare connection that never carried a request counts as busy: the node's
	// local HTTP server would wait its full five seconds for it.
	m.transport.CloseIdleConnections()
	return errors.Join(m.server.Close(), os.RemoveAll(m.server.Dir))
}
