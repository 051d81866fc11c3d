package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"hearth.dev/meshlink/internal/codes"
	"hearth.dev/meshlink/internal/pipe"
)

const (
	answerTimeout  = 5 * time.Second
	lingerTimeout  = 500 * time.Millisecond
	lingerBytesMax = 64 << 10
)

var errDrained = errors.New("the drain time is over")

// ConnectServer answers CONNECT for the named upstreams and then copies bytes.
type ConnectServer struct {
	upstreams  map[string]Upstream
	dialer     *Dialer
	metrics    *Metrics
	log        *slog.Logger
	maxTunnels int

	mu       sync.Mutex
	draining bool
	open     int
	idle     chan struct{} // closed while draining once the last tunnel has ended
	// cut ends every tunnel.
	cut    context.CancelCauseFunc
	cutCtx context.Context
}

func newConnectServer(config Config, dialer *Dialer, metrics *Metrics, log *slog.Logger) *ConnectServer {
	upstreams := map[string]Upstream{}
	for _, upstream := range config.Upstreams {
		upstreams[upstream.Name] = upstream
	}
	cutCtx, cut := context.WithCancelCause(context.Background())
	return &ConnectServer{
		upstreams: upstreams, dialer: dialer, metrics: metrics, log: log, maxTunnels: config.MaxTunnels,
		idle: make(chan struct{}), cut: cut, cutCtx: cutCtx,
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
	far, err := s.dialWhileWanted(conn, upstream)
	if err != nil {
		return err
	}
	if err := s.accept(conn); err != nil {
		far.Close()
		return context.Canceled
	}
	s.metrics.tunnelOpened()
	counts := s.metrics.upstream(name)
	err = pipe.Both(s.cutCtx, conn, far, pipe.Counters{AToB: &counts.sent, BToA: &counts.received})
	counts.lastTraffic.Store(time.Now().UnixNano())
	s.metrics.tunnelClosed(err != nil)
	if err != nil {
		s.log.Debug("tunnel ended", "upstream", name, "reason", err.Error())
	}
	return nil
}

func (s *ConnectServer) accept(conn net.Conn) error {
	if err := conn.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// dialWhileWanted dials for as long as the client waits in silence. A client
// that leaves ends the dial; one that speaks too early is refused.
func (s *ConnectServer) dialWhileWanted(conn net.Conn, upstream Upstream) (pipe.Conn, error) {
	ctx, cancel := context.WithCancelCause(s.cutCtx)
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
	far, err := s.dialer.dial(ctx, upstream)
	conn.SetReadDeadline(time.Unix(1, 0))
	<-watched
	conn.SetReadDeadline(time.Time{})
	if ctx.Err() != nil {
		if far != nil {
			far.Close()
		}
		if errors.Is(context.Cause(ctx), errDrained) {
			return nil, codes.Fail(codes.Draining, "shutting down")
		}
		return nil, context.Cause(ctx)
	}
	return far, err
}

// refuse writes the one shape of refusal and lets the client read it.
func (s *ConnectServer) refuse(conn *net.TCPConn, trouble *codes.Error) {
	s.metrics.refusal(trouble.Code)
	s.log.Info("tunnel refused", "code", trouble.Code, "detail", trouble.Detail)
	meaning := trouble.Code.Meaning()
	body, err := json.Marshal(map[string]string{"code": string(trouble.Code), "message": meaning.Public})
	if err != nil {
		return
	}
	conn.SetDeadline(time.Now().Add(answerTimeout))
	fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		meaning.Status, http.StatusText(meaning.Status), len(body), body)
	conn.CloseWrite()
	// Closing with unread bytes would reset the connection and take the answer along.
	conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.CopyN(io.Discard, conn, lingerBytesMax)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut(errDrained)
	return s.open
}
