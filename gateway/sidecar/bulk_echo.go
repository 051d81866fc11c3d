package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	echoSmallBytes   = 1 << 10
	echoBulkBytes    = 256 << 10
	echoStallTimeout = 4 * time.Second  // without one more byte
	echoTotalTimeout = 15 * time.Second // for the whole body
)

var (
	errEchoStalled = errors.New("nothing more came back for a while")
	errEchoLate    = errors.New("not all of it came back in time")
	errNoEcho      = errors.New("the home has no echo")
)

// echoClient sends bodies to POST /-/echo of one upstream, through the tailnet.
type echoClient struct {
	client *http.Client
	host   string // what the home's ingress listens for

	stallTimeout, totalTimeout time.Duration
}

func (m *Member) echoClient(to netip.AddrPort, host string) *echoClient {
	return &echoClient{host: host, stallTimeout: echoStallTimeout, totalTimeout: echoTotalTimeout, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableCompression: true,
			MaxConnsPerHost:    1,
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return m.dial(ctx, to) },
		},
	}}
}

// measure sends a small body, and when that comes back, a large one. A stall counts
// when it happens again: the first may be the going of the home, or of our own CPU.
func (e *echoClient) measure(ctx context.Context) echoEvidence {
	defer e.client.CloseIdleConnections()
	if first := e.once(ctx); first.outcome != echoStalled {
		return first
	}
	return e.once(ctx)
}

func (e *echoClient) once(ctx context.Context) echoEvidence {
	small := echoOutcomeOf(e.post(ctx, echoSmallBytes))
	switch small.outcome {
	case echoPassed:
		return echoOutcomeOf(e.post(ctx, echoBulkBytes))
	case echoNone:
		return small
	default:
		// Where not even a small body comes back, size is not the question.
		return echoEvidence{outcome: echoFailed, detail: small.detail}
	}
}

func echoOutcomeOf(bytes int64, took time.Duration, err error) echoEvidence {
	evidence := echoEvidence{outcome: echoPassed, bytes: bytes, took: took}
	if err == nil {
		return evidence
	}
	evidence.detail = "echo of " + fmt.Sprint(bytes) + " bytes: " + err.Error()
	switch {
	case errors.Is(err, errNoEcho):
		evidence.outcome = echoNone
	case errors.Is(err, errEchoStalled):
		evidence.outcome = echoStalled
	case errors.Is(err, errEchoLate):
		evidence.outcome = echoCrawled
	default:
		evidence.outcome = echoFailed
	}
	return evidence
}

// post sends size bytes and compares what comes back, while it comes.
func (e *echoClient) post(ctx context.Context, size int) (int64, time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	total := time.AfterFunc(e.totalTimeout, func() { cancel(errEchoLate) })
	defer total.Stop()
	stall := time.AfterFunc(e.stallTimeout, func() { cancel(errEchoStalled) })
	defer stall.Stop()
	body := randomBytes(size)
	err := e.exchange(ctx, body, func() { stall.Reset(e.stallTimeout) })
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return int64(size), time.Since(began), err
}

func (e *echoClient) exchange(ctx context.Context, body []byte, moved func()) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.host+"/-/echo", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Accept-Encoding", "identity") // an ingress may add one of its own otherwise
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := e.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("the home answered %s", response.Status)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: %s", errNoEcho, response.Status)
	}
	return compare(response.Body, body, moved)
}

// compare reads until the end and calls moved with every piece.
func compare(from io.Reader, want []byte, moved func()) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > len(want) || !bytes.Equal(buffer[:n], want[:n]) {
			return fmt.Errorf("%w: something else answers", errNoEcho)
		}
		want = want[n:]
		moved()
		switch {
		case errors.Is(err, io.EOF) && len(want) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}

// randomBytes cannot be compressed on the way.
func randomBytes(size int) []byte {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	body := make([]byte, size)
	rand.NewChaCha8(seed).Read(body)
	return body
}
