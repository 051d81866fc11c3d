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
	echoSmallBytes = 1 << 10
	// echoFullBytes fill a dozen packets to the brim, and yet pass in a second over
	// a line of 20 KiB/s.
	echoFullBytes = 16 << 10
	echoBulkBytes = 256 << 10

	echoFullTimeout = 4 * time.Second
	echoBulkTimeout = 15 * time.Second
)

var (
	errEchoLate = errors.New("it did not come back in time")
	errNoEcho   = errors.New("the home has no echo")
)

// echoClient sends bodies to POST /-/echo of one upstream, through the tailnet.
type echoClient struct {
	client *http.Client
	host   string // what the home's ingress listens for

	fullTimeout, bulkTimeout time.Duration
}

func (m *Member) echoClient(to netip.AddrPort, host string) *echoClient {
	return &echoClient{host: host, fullTimeout: echoFullTimeout, bulkTimeout: echoBulkTimeout, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableCompression: true,
			MaxConnsPerHost:    1,
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return m.dial(ctx, to) },
		},
	}}
}

// measure sends a small body, then some full packets, then many. A stall counts when
// it happens again: the first may be the going of the home, or of our own CPU.
func (e *echoClient) measure(ctx context.Context) echoEvidence {
	defer e.client.CloseIdleConnections()
	if first := e.once(ctx); first.outcome != echoStalled {
		return first
	}
	return e.once(ctx)
}

// once tells a narrow way from a slow one: where a small body comes back and a few
// full packets do not, their size is what stops them.
func (e *echoClient) once(ctx context.Context) echoEvidence {
	for _, step := range []struct {
		bytes   int
		timeout time.Duration
		late    echoOutcome
	}{
		{echoSmallBytes, e.fullTimeout, echoFailed},
		{echoFullBytes, e.fullTimeout, echoStalled},
		{echoBulkBytes, e.bulkTimeout, echoCrawled},
	} {
		began := time.Now()
		err := e.post(ctx, step.bytes, step.timeout)
		evidence := echoEvidence{outcome: echoPassed, bytes: int64(step.bytes), took: time.Since(began)}
		switch {
		case err == nil && step.bytes == echoBulkBytes:
			return evidence
		case err == nil:
			continue
		case errors.Is(err, errNoEcho):
			evidence.outcome = echoNone
		case errors.Is(err, errEchoLate):
			evidence.outcome = step.late
		default:
			evidence.outcome = echoFailed
		}
		evidence.detail = fmt.Sprintf("echo of %d bytes: %v", step.bytes, err)
		return evidence
	}
	return echoEvidence{outcome: echoFailed}
}

// post sends size bytes and wants the same back within timeout.
func (e *echoClient) post(ctx context.Context, size int, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errEchoLate)
	defer cancel()
	err := e.exchange(ctx, randomBytes(size))
	if err != nil && errors.Is(context.Cause(ctx), errEchoLate) {
		return errEchoLate
	}
	return err
}

func (e *echoClient) exchange(ctx context.Context, body []byte) error {
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
	got, err := io.ReadAll(io.LimitReader(response.Body, int64(len(body))+1))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, body) {
		return fmt.Errorf("%w: something else answers", errNoEcho)
	}
	return nil
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
