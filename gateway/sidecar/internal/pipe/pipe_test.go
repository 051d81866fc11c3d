package pipe

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// joined returns the outer ends of two real connections whose inner ends Both joins.
func joined(t *testing.T, ctx context.Context) (left, right *net.TCPConn, ended <-chan error) {
	t.Helper()
	left, innerLeft := pair(t)
	right, innerRight := pair(t)
	result := make(chan error, 1)
	var up, down atomic.Int64
	go func() { result <- Both(ctx, innerLeft, innerRight, Counters{AToB: &up, BToA: &down}) }()
	return left, right, result
}

func pair(t *testing.T) (outer, inner *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	dialled.SetDeadline(time.Now().Add(10 * time.Second))
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

func endOf(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(5 * time.Second):
		t.Fatal("Both did not return within 5 s")
		return nil
	}
}

func TestBothPassesHalfClosesOnAndEndsCleanly(t *testing.T) {
	left, right, ended := joined(t, t.Context())
	io.WriteString(left, "question")
	left.CloseWrite()
	if got, err := io.ReadAll(right); string(got) != "question" || err != nil {
		t.Fatalf("right read %q, %v", got, err)
	}
	io.WriteString(right, "answer")
	right.CloseWrite()
	if got, err := io.ReadAll(left); string(got) != "answer" || err != nil {
		t.Fatalf("left read %q, %v", got, err)
	}
	if err := endOf(t, ended); err != nil {
		t.Errorf("two clean ends returned %v", err)
	}
}

func TestBothPassesAResetOnAsAReset(t *testing.T) {
	left, right, ended := joined(t, t.Context())
	io.WriteString(left, "x")
	io.ReadFull(right, make([]byte, 1))
	left.SetLinger(0)
	left.Close()
	if _, err := right.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the other side saw %v, want a reset", err)
	}
	if endOf(t, ended) == nil {
		t.Error("a reset was reported as a clean end")
	}
}

func TestBothIsCutWhenItsContextEnds(t *testing.T) {
	why := errors.New("the drain time is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	left, right, ended := joined(t, ctx)
	cancel(why)
	for _, conn := range []net.Conn{left, right} {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("an end saw %v, want a reset", err)
		}
	}
	if err := endOf(t, ended); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
}

func TestClocksTellAWriteThatWaitsFromOneThatWentThrough(t *testing.T) {
	left, innerLeft := pair(t)
	right, innerRight := pair(t)
	var up, down atomic.Int64
	clocks := new(Clocks)
	began := time.Now()
	go Both(t.Context(), innerLeft, innerRight, Counters{AToB: &up, BToA: &down, Clocks: clocks})
	io.WriteString(right, "answer")
	if _, err := io.ReadFull(left, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if heard := clocks.BToA.Heard(); heard.Before(began) || !clocks.AToB.Heard().IsZero() {
		t.Errorf("heard at %s and %s, want only the answering side", heard, clocks.AToB.Heard())
	}
	go left.Write(make([]byte, 64<<20)) // more than any socket buffer holds
	awaitClock(t, "the write waits", func() bool {
		since := clocks.AToB.BlockedSince()
		return !since.IsZero() && time.Since(since) > 50*time.Millisecond
	})
	go io.Copy(io.Discard, right)
	awaitClock(t, "everything went through", func() bool { return clocks.AToB.Bytes() == 64<<20 })
	if since := clocks.AToB.BlockedSince(); !since.IsZero() || up.Load() != 64<<20 {
		t.Errorf("blocked since %s after %d bytes", since, up.Load())
	}
}

func awaitClock(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still waiting: %s", what)
		}
	}
}
