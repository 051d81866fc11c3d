package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// keyLife is enough for one join, and short enough that an unused key is soon none.
const keyLife = 5 * time.Minute

// api makes keys through the API of Tailscale's service: a token first, then a
// key with it. The shapes are those of Tailscale's own client (feature/oauthkey,
// feature/identityfederation and client/tailscale/keys.go of its module).
type api struct {
	url       string
	tags      []string
	transport http.RoundTripper
	hide      func(secret string)
}

func (c *Chain) api() (*api, *codes.Error) {
	if c.sources.Lab && IsHosted(c.sources.APIURL) {
		return nil, codes.Fail(codes.ControlUnreachable, c.sources.APIURL+" is out of bounds in the lab, set TS_API_URL")
	}
	return &api{c.sources.APIURL, c.sources.Tags, c.transport, c.hide}, nil
}

// step is one of the calls; refusals mean different things at each.
type step string

const (
	stepToken    step = "/api/v2/oauth/token"
	stepExchange step = "/api/v2/oauth/token-exchange"
	stepKey      step = "/api/v2/tailnet/-/keys"
)

// oauthToken returns an access token for the client that owns secret.
func (a *api) oauthToken(ctx context.Context, clientID, secret string) (string, error) {
	return a.accessToken(ctx, stepToken, secret, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret},
	})
}

// exchangeToken returns an access token for the federated identity that trusts idToken.
func (a *api) exchangeToken(ctx context.Context, clientID, idToken string) (string, error) {
	return a.accessToken(ctx, stepExchange, idToken, url.Values{"client_id": {clientID}, "jwt": {idToken}})
}

func (a *api) accessToken(ctx context.Context, at step, secret string, form url.Values) (string, error) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := a.post(ctx, at, header, []byte(form.Encode()), &got, secret); err != nil {
		return "", err
	}
	if got.AccessToken == "" {
		return "", a.unreachable(at, "answered 200 without an access token")
	}
	a.hide(got.AccessToken)
	return got.AccessToken, nil
}

// createKey returns a new auth key: for one node, ephemeral, already approved.
func (a *api) createKey(ctx context.Context, token string) (string, error) {
	body, err := json.Marshal(map[string]any{
		"capabilities": map[string]any{"devices": map[string]any{"create": map[string]any{
			"reusable": false, "ephemeral": true, "preauthorized": true, "tags": a.tags,
		}}},
		"expirySeconds": int(keyLife.Seconds()),
	})
	if err != nil {
		return "", err
	}
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}
	var got struct {
		Key string `json:"key"`
	}
	if err := a.post(ctx, stepKey, header, body, &got, token); err != nil {
		return "", err
	}
	if got.Key == "" {
		return "", a.unreachable(stepKey, "answered 200 without a key")
	}
	a.hide(got.Key)
	return got.Key, nil
}

// post sends body to the step and decodes its answer into result.
func (a *api) post(ctx context.Context, at step, header http.Header, body []byte, result any, secret string) error {
	request, err := http.NewRequest(http.MethodPost, a.url+string(at), bytes.NewReader(body))
	if err != nil {
		return a.unreachable(at, err.Error())
	}
	request.Header = header
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "meshlink")
	got, err := roundTrip(ctx, a.transport, request, callTimeout)
	if err != nil {
		return a.unreachable(at, withoutSecrets(err.Error(), secret))
	}
	if got.status != http.StatusOK {
		said := withoutSecrets(got.explanation(), secret)
		return codes.Fail(refusal(at, got.status, said), fmt.Sprintf("POST %s%s answered %d %q%s", a.url, at, got.status, said, hint(at, got.status, said)))
	}
	if err := json.Unmarshal(got.body, result); err != nil {
		return a.unreachable(at, "answered 200 with something that is no JSON object of ours; a proxy may stand between")
	}
	return nil
}

func (a *api) unreachable(at step, why string) *codes.Error {
	return codes.Fail(codes.ControlUnreachable, fmt.Sprintf("POST %s%s: %s", a.url, at, why))
}

// refusal says what an answer other than 200 means. The texts are those of public
// threads about the hosted service; none of them is promised.
func refusal(at step, status int, said string) codes.Code {
	said = strings.ToLower(said)
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return codes.ControlBusy
	case refused(status) && strings.Contains(said, "expired"):
		return codes.AuthExpired
	case refused(status) && at == stepKey && status != http.StatusUnauthorized && strings.Contains(said, "tag"):
		return codes.TagNotPermitted
	case refused(status):
		return codes.AuthInvalidKey
	}
	return codes.ControlUnreachable
}

func refused(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden
}

// hint adds what the API does not say and people needed days to find out.
func hint(at step, status int, said string) string {
	switch {
	case status >= 300 && status < 400, status == http.StatusNotFound:
		return "; check TS_API_URL"
	case at == stepKey && strings.Contains(strings.ToLower(said), "tag"):
		return "; TS_TAGS must be all the tags of the client, or one that owns them"
	case at == stepKey && status == http.StatusForbidden:
		return "; the client needs the scope auth_keys with write access"
	case at == stepExchange && refused(status):
		return "; issuer, subject and audience must match the federated identity of TS_CLIENT_ID"
	}
	return ""
}
