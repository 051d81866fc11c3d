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
