package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"hearth.dev/meshlink/internal/codes"
	"hearth.dev/meshlink/internal/pipe"
)

var errDrained = errors.New("the drain time is over")

// ConnectServer answers CONNECT for the named upstreams and then copies bytes.
type ConnectServer struct {
	upstreams  map[string]Upstream
	dialer     *Dialer
	paths      *PathProber
	tunnels    *TunnelTable
	metrics    *Metrics
	log        *slog.Logger
	maxTunnels int

	mu       sync.Mutex
	draining bool
	open     int
	idle     chan struct{} // closed while draining once the last tunnel has ended
	// stopped ends with the server; it ends every dial and tunnel that is under way.
	stopped context.Context
	stop    context.CancelCauseFunc
}

func newConnectServer(config Config, dialer *Dialer, paths *PathProber, tunnels *TunnelTable, metrics *Metrics, log *slog.Logger) *ConnectServer {
	upstreams := map[string]Upstream{}
	for _, upstream := range config.Upstreams {
		upstreams[upstream.Name] = upstream
	}
	stopped, stop := context.WithCancelCause(context.Background())
	return &ConnectServer{
		upstreams: upstreams, dialer: dialer, paths: paths, tunnels: tunnels, metrics: metrics, log: log, maxTunnels: config.MaxTunnels,
		idle: make(chan struct{}), stopped: stopped, stop: stop,
	}
}

// Serve answers until listener is closed.
func (s *ConnectServer) Serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// Out of file descriptors, most likely: wait for tunnels to end.
			s.log.Error("cannot accept", "error", err.Error())
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go s.handle(conn.(*net.TCPConn))
	}
}

func (s *ConnectServer) handle(conn *net.TCPConn) {
	defer conn.Close()
	enterErr := s.enter()
	if enterErr == nil {
		defer s.leave()
	} else if enterErr.Code != codes.Draining {
		s.refuse(conn, enterErr) // over the cap: not even the head is read
		return
	}
	name, err := readHead(conn)
	if err == nil && enterErr != nil {
		err = enterErr
	}
	if err == nil {
		err = s.tunnel(conn, name)
	}
	if err == nil || errors.Is(err, errNoHead) || errors.Is(err, context.Canceled) {
		return
	}
	s.refuse(conn, codes.From(err))
}

// tunnel opens the way to the upstream called name and copies until it ends. An
// error means that nothing was answered yet.
func (s *ConnectServer) tunnel(conn *net.TCPConn, name string) error {
	upstream, known := s.upstreams[name]
	if !known {
		return codes.Fail(codes.UnknownUpstream, "no upstream is called "+name)
	}
	far, peer, err := s.dialWhileWanted(conn, upstream)
	if err != nil {
		return err
	}
	ctx, tunnel := s.tunnels.add(s.stopped, name, peer)
	defer s.tunnels.remove(tunnel)
	if err := s.accept(conn, tunnel); err != nil {
		far.Close()
		return context.Canceled
	}
	s.metrics.tunnelOpened()
	counts := s.metrics.upstream(name)
	err = pipe.Both(ctx, conn, far, pipe.Counters{AToB: &counts.sent, BToA: &counts.received, Clocks: &tunnel.Clocks})
	counts.lastTraffic.Store(time.Now().UnixNano())
	s.metrics.tunnelClosed(err != nil)
	if err != nil {
		s.log.Debug("tunnel ended", "upstream", name, "reason", err.Error())
	}
	return nil
}

// dialWhileWanted dials for as long as the client waits in silence. A client
// that leaves ends the dial; one that speaks too early is refused.
func (s *ConnectServer) dialWhileWanted(conn net.Conn, upstream Upstream) (pipe.Conn, Peer, error) {
	ctx, cancel := context.WithCancelCause(s.stopped)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		n, err := conn.Read(make([]byte, 1))
		switch {
		case n > 0:
			cancel(codes.Fail(codes.BadRequest, "bytes came before the tunnel was open"))
		case !isTimeout(err):
			cancel(context.Canceled)
		}
	}()
	far, peer, err := s.dialAwake(ctx, upstream)
	conn.SetReadDeadline(time.Unix(1, 0))
	<-watched
	conn.SetReadDeadline(time.Time{})
	if ctx.Err() != nil {
		if far != nil {
			far.Close()
		}
		if errors.Is(context.Cause(ctx), errDrained) {
			return nil, peer, codes.Fail(codes.Draining, "shutting down")
		}
		return nil, peer, context.Cause(ctx)
	}
	return far, peer, err
}

// dialAwake dials after a sleep only once the way is known to work again.
func (s *ConnectServer) dialAwake(ctx context.Context, upstream Upstream) (pipe.Conn, Peer, error) {
	if trouble := s.paths.awaitThaw(ctx, upstream); trouble != nil {
		if ctx.Err() == nil {
			s.metrics.upstream(upstream.Name).setError(trouble)
		}
		return nil, Peer{}, trouble
	}
	return s.dialer.dial(ctx, upstream)
}

func (s *ConnectServer) enter() *codes.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return codes.Fail(codes.Draining, "shutting down")
	}
	if s.open >= s.maxTunnels {
		return codes.Fail(codes.TunnelsFull, fmt.Sprintf("all %d tunnels are in use", s.maxTunnels))
	}
	s.open++
	return nil
}

func (s *ConnectServer) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.draining && s.open == 0 {
		close(s.idle)
	}
}

// Drain refuses new tunnels from now on. It does not wait and may be called twice.
func (s *ConnectServer) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return
	}
	s.draining = true
	if s.open == 0 {
		close(s.idle)
	}
}

// Draining says whether new tunnels are refused.
func (s *ConnectServer) Draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// Finish waits up to timeout for the tunnels of a draining server to end, then
// resets those that are left and returns how many there were.
func (s *ConnectServer) Finish(timeout time.Duration) (left int) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-s.idle:
	case <-timer.C:
	}
	cut := s.tunnels.cut(s.tunnels.all(), codes.Fail(codes.Draining, "the drain time is over"))
	s.stop(errDrained) // and with it what opened meanwhile
	s.metrics.tunnelsCut(codes.Draining, cut)
	return cut
}
