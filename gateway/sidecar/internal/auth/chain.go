package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// Chain finds a key: in the key file, in the environment, through an OAuth
// client, through a workload identity. The first source that holds anything is
// used, and its failure is the chain's. One goroutine at a time.
type Chain struct {
	sources   Sources
	hide      func(secret string)
	transport http.RoundTripper // to the API
	metadata  http.RoundTripper
	now       func() time.Time

	seen   string // fingerprint of the latest text
	seenAt time.Time
}

// NewChain returns a chain over sources. Every secret that comes to be, is given
// to hide before anything else happens with it.
func NewChain(sources Sources, hide func(secret string)) *Chain {
	return &Chain{
		sources: sources, hide: hide, now: time.Now,
		transport: newTransport(http.ProxyFromEnvironment),
		metadata:  newTransport(nil),
	}
}

// Fingerprint changes when the text of any source changes. It makes no call.
func (c *Chain) Fingerprint() string {
	sum := sha256.New()
	for _, place := range append(c.sources.keyPlaces(), c.sources.tokenPlaces()...) {
		text, _, err := place.read()
		if err != nil {
			text = "" // as good as empty: there is no key in it
		}
		fmt.Fprintf(sum, "%s %d %s\n", place, len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Read returns the key to use now. Keys of an OAuth client or of a workload
// identity are made anew at each call, for one use. With an error, which has a
// code, the key holds only its method. It takes at most half a minute.
func (c *Chain) Read(ctx context.Context) (Key, error) {
	found, trouble := c.find()
	if trouble != nil {
		return Key{Method: found.method}, trouble
	}
	key := Key{Value: found.text, Method: found.method, Removed: found.removed, Skipped: found.skipped, Since: found.since}
	if !key.Method.Minted() {
		return key, nil
	}
	key.Value, key.Since = "", time.Time{}
	value, err := c.mint(ctx, found)
	if ctx.Err() != nil {
		return key, ctx.Err()
	}
	if err != nil {
		return key, err
	}
	key.Value, key.Since = value, c.now()
	return key, nil
}

// found is the text of the first source that holds one.
type found struct {
	method           Method
	place            place
	text             string
	removed, skipped []string
	since            time.Time
}

func (c *Chain) find() (found, *codes.Error) {
	s := c.sources
	first, skipped := c.first(s.keyPlaces())
	if first.text != "" {
		return c.classify(first)
	}
	if s.Workload() {
		token, reasons := c.first(s.tokenPlaces())
		token.method, token.skipped = FromWorkload, append(skipped, reasons...)
		if _, wishes := cutWishes(s.ClientID); wishes {
			token.removed = append(token.removed, "attributes")
		}
		if token.text == "" && s.Audience == "" {
			return token, missing(token.skipped)
		}
		return token, nil
	}
	return first, missing(skipped)
}

func missing(looked []string) *codes.Error {
	if len(looked) == 0 {
		return codes.Fail(codes.AuthMissingKey, "none of TS_AUTHKEY_FILE, TS_AUTHKEY, TAILSCALE_AUTH_KEY, "+
			"TS_CLIENT_SECRET_FILE, TS_CLIENT_SECRET and TS_CLIENT_ID is set")
	}
	return codes.Fail(codes.AuthMissingKey, strings.Join(looked, "; "))
}

// first returns the first of places that holds a text, and why those before do not.
func (c *Chain) first(places []place) (found, []string) {
	var skipped []string
	var method Method
	for _, place := range places {
		method = place.method
		raw, changed, err := place.read()
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("%s: %v", place.name, err))
			continue
		}
		text, removed := c.clean(raw)
		if text == "" {
			skipped = append(skipped, place.String()+" is empty")
			continue
		}
		return found{place.method, place, text, removed, skipped, c.since(text, changed)}, skipped
	}
	return found{method: method}, skipped
}

// clean returns what of raw is a key, and hides it in every form.
func (c *Chain) clean(raw string) (text string, removed []string) {
	text, removed = Normalise(raw)
	bare, wishes := cutWishes(text)
	for _, secret := range []string{text, bare, strings.TrimSpace(raw)} {
		c.hide(secret)
	}
	if c.sources.Raw {
		return raw, nil
	}
	if wishes {
		removed = append(removed, "attributes")
	}
	return bare, removed
}

// cutWishes takes off what is meant for the hosted client and is copied along
// ("?ephemeral=false&preauthorized=true"). It is never followed: a node of ours
// is always ephemeral.
func cutWishes(text string) (bare string, had bool) {
	bare, _, had = strings.Cut(text, "?")
	return bare, had
}

// fileTimeMin is before any key was made: some mounts give files no real time.
var fileTimeMin = time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *Chain) since(text string, changed time.Time) time.Time {
	if sum := sha256.Sum256([]byte(text)); c.seen != string(sum[:]) {
		c.seen, c.seenAt = string(sum[:]), c.now()
	}
	if changed.After(fileTimeMin) && !changed.After(c.now()) {
		return changed
	}
	return c.seenAt
}

// classify looks at what kind of secret was found, wherever it lay.
func (c *Chain) classify(it found) (found, *codes.Error) {
	switch {
	case strings.HasPrefix(it.text, secretPrefix):
		it.method = FromOAuth
	case strings.HasPrefix(it.text, apiPrefix):
		return it, codes.Fail(codes.AuthInvalidKey, it.place.String()+" holds an API access token ("+apiPrefix+
			"…), want an auth key ("+authKeyPrefix+"…) or an OAuth client secret ("+secretPrefix+"…)")
	case it.method == FromOAuth && strings.HasPrefix(it.text, authKeyPrefix):
		return it, codes.Fail(codes.AuthInvalidKey, it.place.String()+" holds an auth key, want an OAuth client secret ("+
			secretPrefix+"…), or put the key into TS_AUTHKEY")
	}
	if it.method.Minted() && len(c.sources.Tags) == 0 {
		return it, codes.Fail(codes.TagNotPermitted, it.place.String()+" holds an OAuth client secret, whose keys need tags: set TS_TAGS")
	}
	return it, nil
}

// mint makes a key with what was found, by the API's own calls.
func (c *Chain) mint(ctx context.Context, it found) (string, error) {
	api, trouble := c.api()
	if trouble != nil {
		return "", trouble
	}
	var token string
	var err error
	if it.method == FromOAuth {
		token, err = api.oauthToken(ctx, c.clientID(it.text), it.text)
	} else {
		token, err = c.exchange(ctx, api, it.text)
	}
	if err != nil {
		return "", err
	}
	return api.createKey(ctx, token)
}

func (c *Chain) exchange(ctx context.Context, api *api, idToken string) (string, error) {
	if idToken == "" {
		token, err := c.googleToken(ctx)
		if err != nil {
			return "", err
		}
		idToken = token
	}
	if strings.Count(idToken, ".") != 2 {
		return "", codes.Fail(codes.AuthMissingKey, "the id token is none: want three parts with dots between")
	}
	return api.exchangeToken(ctx, c.clientID(""), idToken)
}

// clientID is the configured one, without wishes. The secret of an OAuth client
// names its client, and the token endpoint goes by the secret.
func (c *Chain) clientID(secret string) string {
	id, _ := cutWishes(c.sources.ClientID)
	if rest, is := strings.CutPrefix(secret, secretPrefix); is && id == "" {
		id, _, _ = strings.Cut(rest, "-")
	}
	return id
}
