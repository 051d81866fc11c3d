// Package pipe copies bytes between two connections, both ways, with half-close.
package pipe

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10

	// halfClosedIdle bounds how long one side may stay silent after the other
	// has said it will send no more: without it a lost peer would hold the
	// tunnel for ever.
	halfClosedIdle = 5 * time.Minute
)

// Idle tunnels are many and large transfers are few: each direction waits with a
// small buffer and borrows a large one only while the bytes keep coming.
var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// Conn is a connection that can end its sending side alone.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Counters receive the bytes of each direction while they flow.
type Counters struct {
	AToB, BToA *atomic.Int64
	Clocks     *Clocks // may be nil
}

// Both copies a to b and b to a until both directions ended, then closes both.
// The end of one direction is passed on as a half-close; an error in any
// direction, or the end of ctx, aborts both connections at once. It returns nil
// after two clean ends.
func Both(ctx context.Context, a, b Conn, counters Counters) error {
	stop := context.AfterFunc(ctx, func() { abort(a, b) })
	defer stop()
	clocks := counters.Clocks
	if clocks == nil {
		clocks = new(Clocks)
	}
	var halfClosed atomic.Bool
	ends := make(chan error, 2)
	go func() { ends <- oneWay(b, a, meter{counters.AToB, &clocks.AToB}, &halfClosed) }()
	go func() { ends <- oneWay(a, b, meter{counters.BToA, &clocks.BToA}, &halfClosed) }()

	first := <-ends
	if first != nil {
		abort(a, b)
		<-ends
		return cause(ctx, first)
	}
	if second := <-ends; second != nil {
		abort(a, b)
		return cause(ctx, second)
	}
	return errors.Join(closed(a.Close()), closed(b.Close()))
}

func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// oneWay copies src to dst and passes on a clean end as a half-close.
func oneWay(dst, src Conn, meter meter, halfClosed *atomic.Bool) error {
	if err := copyAll(dst, src, meter, halfClosed); err != nil {
		return err
	}
	if err := dst.CloseWrite(); err != nil {
		return err
	}
	halfClosed.Store(true)
	// The other direction may be inside a read already: give that read its bound.
	return dst.SetReadDeadline(time.Now().Add(halfClosedIdle))
}

func copyAll(dst, src Conn, meter meter, halfClosed *atomic.Bool) error {
	small := smallBuffers.Get().(*[smallBuffer]byte)
	defer smallBuffers.Put(small)
	var large *[largeBuffer]byte
	defer func() {
		if large != nil {
			largeBuffers.Put(large)
		}
	}()
	for {
		buffer := small[:]
		if large != nil {
			buffer = large[:]
		}
		n, err := src.Read(buffer)
		if n > 0 {
			if err := meter.pass(dst, buffer[:n]); err != nil {
				return err
			}
			if halfClosed.Load() {
				if err := src.SetReadDeadline(time.Now().Add(halfClosedIdle)); err != nil {
					return err
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case large == nil && n == smallBuffer:
			large = largeBuffers.Get().(*[largeBuffer]byte)
		case large != nil && n < smallBuffer:
			largeBuffers.Put(large)
			large = nil
		}
	}
}

// abort closes so that the far end sees a reset where the platform can do it:
// a truncated answer must never look like a complete one.
func abort(conns ...Conn) {
	for _, conn := range conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		conn.Close()
	}
}
