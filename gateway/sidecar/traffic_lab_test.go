package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const trafficLimit = 30 * time.Second

// client returns an HTTP client whose every connection is a tunnel to upstream.
func (s *sidecar) client(upstream string) *http.Client {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		conn, status, code := s.connect(upstream)
		if conn == nil {
			return nil, fmt.Errorf("CONNECT %s: %d %s", upstream, status, code)
		}
		return conn, nil
	}}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: trafficLimit}
}

// serve lets the home's backend speak HTTP.
func (l *lab) serve(handler http.HandlerFunc) {
	server := &http.Server{Handler: handler}
	go server.Serve(l.backend)
	l.t.Cleanup(func() { server.Close() })
}

func TestTrafficIsCarriedAsItIs(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	next := make(chan struct{})
	l.serve(func(w http.ResponseWriter, request *http.Request) {
		switch request.URL.Path {
		case "/events":
			sendEvents(w, next)
		case "/socket":
			echoMessages(w, request)
		case "/hash":
			hash := sha256.New()
			io.Copy(hash, request.Body)
			w.Write(hash.Sum(nil))
		case "/bytes":
			io.CopyN(w, newNoise(), noiseBytes)
		}
	})
	s := startReadySidecar(t, l.env())
	t.Run("64 MiB up have the same hash at home", func(t *testing.T) { sameUp(t, s) })
	t.Run("64 MiB down have the same hash here", func(t *testing.T) { sameDown(t, s) })
	t.Run("events arrive one by one, in order, each before the next is sent", func(t *testing.T) { oneByOne(t, s, next) })
	t.Run("a WebSocket opens, carries messages both ways and closes", func(t *testing.T) { webSocket(t, s) })
}

const noiseBytes = 64 << 20

// newNoise returns bytes that look random and are the same every time.
func newNoise() io.Reader {
	block := sha256.Sum256([]byte("noise"))
	return readerFunc(func(p []byte) (int, error) {
		for filled := 0; filled < len(p); filled += len(block) {
			block = sha256.Sum256(block[:])
			copy(p[filled:], block[:])
		}
		return len(p), nil
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func sameUp(t *testing.T, s *sidecar) {
	sent := sha256.New()
	body := io.TeeReader(io.LimitReader(rand.Reader, noiseBytes), sent)
	response, err := s.client("gpu").Post("http://gpu/hash", "", body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); err != nil || !bytes.Equal(got, sent.Sum(nil)) {
		t.Errorf("the home got %x, %v; sent was %x", got, err, sent.Sum(nil))
	}
}

func sameDown(t *testing.T, s *sidecar) {
	response, err := s.client("gpu").Get("http://gpu/bytes")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, want := sha256.New(), sha256.New()
	n, err := io.Copy(got, response.Body)
	io.CopyN(want, newNoise(), noiseBytes)
	if err != nil || n != noiseBytes || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d bytes came, %v; hashes equal: %v", n, err, bytes.Equal(got.Sum(nil), want.Sum(nil)))
	}
}

const eventsSent = 50

// sendEvents sends an event and waits until the reader has asked for the next one.
func sendEvents(w http.ResponseWriter, next <-chan struct{}) {
	w.Header().Set("Content-Type", "text/event-stream")
	for number := range eventsSent {
		fmt.Fprintf(w, "data: %d\n\n", number)
		w.(http.Flusher).Flush()
		select {
		case <-next:
		case <-time.After(trafficLimit):
			return
		}
	}
}

func oneByOne(t *testing.T, s *sidecar, next chan<- struct{}) {
	response, err := s.client("gpu").Get("http://gpu/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for number := range eventsSent {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", number) || !lines.Scan() || lines.Text() != "" {
			t.Fatalf("event %d is %q, %v", number, lines.Text(), lines.Err())
		}
		next <- struct{}{}
	}
	if lines.Scan() {
		t.Errorf("after the last event came %q", lines.Text())
	}
}

func echoMessages(w http.ResponseWriter, request *http.Request) {
	socket, err := websocket.Accept(w, request, nil)
	if err != nil {
		return
	}
	defer socket.CloseNow()
	for {
		kind, message, err := socket.Read(request.Context())
		if err != nil {
			return
		}
		if string(message) == "bye" {
			socket.Close(websocket.StatusNormalClosure, "you said bye")
			return
		}
		socket.Write(request.Context(), kind, message)
	}
}

func webSocket(t *testing.T, s *sidecar) {
	ctx, cancel := context.WithTimeout(t.Context(), trafficLimit)
	defer cancel()
	socket, response, err := websocket.Dial(ctx, "ws://gpu/socket", &websocket.DialOptions{HTTPClient: s.client("gpu")})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("the upgrade was answered with %d", response.StatusCode)
	}
	for _, want := range [][]byte{[]byte("hello"), bytes.Repeat([]byte{0}, 30_000)} {
		socket.Write(ctx, websocket.MessageBinary, want)
		if _, got, err := socket.Read(ctx); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes came back of %d, %v", len(got), len(want), err)
		}
	}
	socket.Write(ctx, websocket.MessageText, []byte("bye"))
	if _, _, err := socket.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the end was %v, want a normal close", err)
	}
}
