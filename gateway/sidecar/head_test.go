package main

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
	"hearth.dev/meshlink/internal/gap"
)

func TestParseHeadAcceptsOnlyConnectToAPlainName(t *testing.T) {
	for _, test := range []struct {
		head string
		ok   bool
	}{
		{"CONNECT gpu HTTP/1.1", true},
		{"CONNECT gpu HTTP/1.1\r\nHost: gpu\r\nConnection: close", true},
		{"CONNECT gpu-2 HTTP/1.1\r\nX-Empty:", true},
		{"GET / HTTP/1.1", false},
		{"connect gpu HTTP/1.1", false},
		{"CONNECT gpu HTTP/1.0", false},
		{"CONNECT gpu HTTP/2", false},
		{"CONNECT gpu", false},
		{"CONNECT  gpu HTTP/1.1", false},
		{"CONNECT gpu HTTP/1.1 ", false},
		{" CONNECT gpu HTTP/1.1", false},
		{"CONNECT gpu:80 HTTP/1.1", false},
		{"CONNECT 169.254.169.254:80 HTTP/1.1", false},
		{"CONNECT 100.64.0.1 HTTP/1.1", false},
		{"CONNECT GPU HTTP/1.1", false},
		{"CONNECT /gpu HTTP/1.1", false},
		{"CONNECT gpü HTTP/1.1", false},
		{"CONNECT gpu\x00 HTTP/1.1", false},
		{"CONNECT " + strings.Repeat("g", 64) + " HTTP/1.1", false},
		{"CONNECT gpu HTTP/1.1\r\nContent-Length: 4", false},
		{"CONNECT gpu HTTP/1.1\r\ntransfer-encoding: chunked", false},
		{"CONNECT gpu HTTP/1.1\r\nno colon", false},
		{"CONNECT gpu HTTP/1.1\r\n: no name", false},
		{"CONNECT gpu HTTP/1.1\r\nBad Name: x", false},
		{"CONNECT gpu HTTP/1.1\r\n folded: x", false},
		{"CONNECT gpu HTTP/1.1\r\nX: a\nY: b", false},
		{"CONNECT gpu HTTP/1.1\r\nX: a\rb", false},
		{"CONNECT gpu HTTP/1.1\nHost: gpu", false},
		{"CONNECT gpu HTTP/1.1" + strings.Repeat("\r\nX: y", headLinesMax), false},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", false},
		{"", false},
	} {
		name, err := parseHead(test.head)
		if test.ok != (err == nil) {
			t.Errorf("parseHead(%q): error %v, want ok=%v", test.head, err, test.ok)
		}
		if test.ok && !strings.HasPrefix(name, "gpu") {
			t.Errorf("parseHead(%q) = %q", test.head, name)
		}
		if err != nil && codes.From(err).Code != codes.BadRequest {
			t.Errorf("parseHead(%q): %v, want %s", test.head, err, codes.BadRequest)
		}
	}
}

// tcpPair returns two ends of a real loopback connection, closed with the test.
func tcpPair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := listener.Accept()
		accepted <- conn
	}()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client, server = dialled.(*net.TCPConn), (<-accepted).(*net.TCPConn)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestReadHeadTakesAHeadThatComesByteByByte(t *testing.T) {
	client, server := tcpPair(t)
	go func() {
		for _, b := range []byte("CONNECT gpu HTTP/1.1\r\nHost: x\r\n\r\n") {
			client.Write([]byte{b})
		}
	}()
	if name, err := readHead(server); err != nil || name != "gpu" {
		t.Errorf("got %q, %v", name, err)
	}
}

func TestReadHeadRefusesWhatComesAfterTheHeadAndWhatNeverEnds(t *testing.T) {
	for name, sent := range map[string]string{
		"early bytes":    "CONNECT gpu HTTP/1.1\r\n\r\nG",
		"too many bytes": "CONNECT gpu HTTP/1.1\r\nX: " + strings.Repeat("y", 2*headBytesMax),
	} {
		client, server := tcpPair(t)
		go io.WriteString(client, sent)
		if _, err := readHead(server); err == nil || codes.From(err).Code != codes.BadRequest {
			t.Errorf("%s: %v, want %s", name, err, codes.BadRequest)
		}
	}
}

func TestReadHeadDoesNotAnswerAClientThatLeft(t *testing.T) {
	for _, sent := range []string{"", "CONNECT gpu HT"} {
		client, server := tcpPair(t)
		io.WriteString(client, sent)
		client.Close()
		if _, err := readHead(server); !errors.Is(err, errNoHead) {
			t.Errorf("after %q: %v, want errNoHead", sent, err)
		}
	}
}

func TestAClientThatLeavesDuringTheDialEndsIt(t *testing.T) {
	client, server := tcpPair(t)
	config := Config{Upstreams: []Upstream{{Name: "gpu", Tag: "tag:gpu", Port: 80}}, MaxTunnels: 1}
	metrics := newMetrics(config.Upstreams)
	log := newLogger(io.Discard, 0)
	tailnet := newTailnet(config, log, &redactor{out: io.Discard}) // never runs, so that a dial waits
	dialer := newDialer(config, tailnet, metrics, gap.Off(), log)
	tunnels := newTunnelTable()
	connect := newConnectServer(config, dialer, newPathProber(config.Upstreams, tailnet, dialer, tunnels, metrics, gap.Off()), tunnels, metrics, log)
	done := make(chan struct{})
	go func() { defer close(done); connect.handle(server) }()
	io.WriteString(client, "CONNECT gpu HTTP/1.1\r\n\r\n")
	client.Close()
	select {
	case <-done:
	case <-time.After(time.Second):
		t.Fatal("the dial went on for a second after the client had left")
	}
	if failed := metrics.upstream("gpu").failed.Load(); failed != 0 {
		t.Errorf("%d failed dials were counted, want 0: nobody failed", failed)
	}
}

func TestBytesBeforeTheAnswerAreRefused(t *testing.T) {
	client, server := tcpPair(t)
	config := Config{Upstreams: []Upstream{{Name: "gpu", Tag: "tag:gpu", Port: 80}}, MaxTunnels: 1}
	metrics := newMetrics(config.Upstreams)
	log := newLogger(io.Discard, 0)
	tailnet := newTailnet(config, log, &redactor{out: io.Discard})
	dialer := newDialer(config, tailnet, metrics, gap.Off(), log)
	tunnels := newTunnelTable()
	connect := newConnectServer(config, dialer, newPathProber(config.Upstreams, tailnet, dialer, tunnels, metrics, gap.Off()), tunnels, metrics, log)
	go connect.handle(server)
	io.WriteString(client, "CONNECT gpu HTTP/1.1\r\n\r\n")
	time.AfterFunc(20*time.Millisecond, func() { io.WriteString(client, "GET / HTTP/1.1\r\n") })
	client.SetReadDeadline(time.Now().Add(2 * time.Second))
	answer, err := io.ReadAll(client)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "mesh_bad_request") {
		t.Errorf("got %q, %v; want 400 mesh_bad_request", answer, err)
	}
}
