package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func udpPair(t *testing.T, wire wireOptions) (from, to *net.UDPConn) {
	t.Helper()
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	raw, err := to.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	}); err != nil {
		t.Fatal(err)
	}
	if err := wire.worsen(t.Context(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	from, err = net.DialUDP("udp4", nil, to.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	return from, to
}

// arrived returns the sizes of all datagrams that came before the mark of one byte.
func arrived(t *testing.T, conn *net.UDPConn) []int {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	var sizes []int
	buffer := make([]byte, 65535)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatalf("the mark did not come: %v", err)
		}
		if n == 1 {
			return sizes
		}
		sizes = append(sizes, n)
	}
}

func TestTheWireLosesWhatIsLargerThanItCarries(t *testing.T) {
	from, to := udpPair(t, wireOptions{bytesMax: 1200})
	for _, size := range []int{100, 1200, 1201, 1312, 9000, 1199, 1} {
		if _, err := from.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if sizes := arrived(t, to); len(sizes) != 3 || sizes[0] != 100 || sizes[1] != 1200 || sizes[2] != 1199 {
		t.Errorf("%v came, want 100, 1200 and 1199 bytes", sizes)
	}
}

func TestTheWireMeasuresEachDatagramOfABatch(t *testing.T) {
	from, to := udpPair(t, wireOptions{bytesMax: 1200})
	for _, segment := range []int{1200, 1201} {
		// Ten datagrams handed to the kernel as one, as Tailscale sends them.
		control := make([]byte, unix.CmsgSpace(2))
		header := unix.Cmsghdr{Level: unix.IPPROTO_UDP, Type: unix.UDP_SEGMENT}
		header.SetLen(unix.CmsgLen(2))
		var encoded bytes.Buffer
		if err := binary.Write(&encoded, binary.NativeEndian, header); err != nil {
			t.Fatal(err)
		}
		copy(control, encoded.Bytes())
		binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], uint16(segment))
		if _, _, err := from.WriteMsgUDP(make([]byte, 10*segment), control, nil); err != nil {
			t.Fatal(err)
		}
	}
	from.Write([]byte{1})
	sizes := arrived(t, to)
	if len(sizes) != 10 || sizes[0] != 1200 {
		t.Errorf("%v came, want ten of 1200 bytes", sizes)
	}
}

func TestTheWireLosesTheShareThatWasAskedFor(t *testing.T) {
	from, to := udpPair(t, wireOptions{losePercent: 20})
	const sent = 2000
	got := 0
	buffer := make([]byte, 10)
	for range sent / 50 {
		for range 50 {
			from.Write(make([]byte, 10))
		}
		for to.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); ; got++ {
			if _, err := to.Read(buffer); err != nil {
				break
			}
		}
	}
	if lost := sent - got; lost < sent/10 || lost > 3*sent/10 {
		t.Errorf("%d of %d were lost, want about 20 %%", lost, sent)
	}
}

func TestASocketOpenedLaterIsFilteredToo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := (wireOptions{bytesMax: 100}).worsen(ctx, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	to, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	buffer := make([]byte, 1000)
	for deadline := time.Now().Add(5 * time.Second); ; {
		if time.Now().After(deadline) {
			t.Fatal("large datagrams still come")
		}
		to.(*net.UDPConn).WriteTo(make([]byte, 500), to.LocalAddr())
		to.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, _, err := to.ReadFrom(buffer); err != nil {
			return
		}
	}
}
