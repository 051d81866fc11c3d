package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
)

const (
	callTimeout      = 10 * time.Second
	answerBytesMax   = 64 << 10
	explanationRunes = 300
)

// newTransport returns a transport whose connections do not outlive their call:
// calls are minutes apart at least.
func newTransport(proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		DisableKeepAlives:   true,
	}
}

// answer is a whole answer to a call.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// roundTrip sends one request and reads its answer, of at most 64 KiB, within
// timeout. No redirect is followed: a secret goes to the address it is meant for.
func roundTrip(ctx context.Context, transport http.RoundTripper, request *http.Request, timeout time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	response, err := transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return answer{}, within(ctx, timeout, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerBytesMax+1))
	if err != nil {
		return answer{}, within(ctx, timeout, err)
	}
	if len(body) > answerBytesMax {
		return answer{}, fmt.Errorf("the answer is larger than %d bytes", answerBytesMax)
	}
	return answer{response.StatusCode, response.Header, body}, nil
}

func within(ctx context.Context, timeout time.Duration, err error) error {
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("no whole answer within %s", timeout)
	}
	return err
}

// explanation returns what the answer says about its failure, in one short line.
func (a answer) explanation() string {
	var said struct {
		Message     string `json:"message"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	text := string(a.body)
	if json.Unmarshal(a.body, &said) == nil {
		text = strings.Join(strings.Fields(said.Message+" "+said.Error+" "+said.Description), " ")
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > explanationRunes {
		text = string(runes[:explanationRunes]) + "…"
	}
	return strings.TrimSpace(text)
}

// secretShapes are secrets of Tailscale and id tokens of anybody.
var secretShapes = regexp.MustCompile(`tskey-[A-Za-z]+-[\w-]+|eyJ[\w-]+\.[\w-]+(\.[\w-]*)?`)

// withoutSecrets takes secrets out of text that others wrote: those given, and
// whatever looks like one.
func withoutSecrets(text string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[hidden]")
		}
	}
	return secretShapes.ReplaceAllString(text, "[hidden]")
}
