package codes

import (
	"slices"
	"strings"
	"testing"
)

// Where a text comes from. What was run is asserted again by the tests in
// gateway/sidecar; the others are taken at their word.
const (
	runHeadscale    = "run: headscale 0.29.2"
	runControl      = "run: testcontrol of tailscale.com 1.102.3"
	readHeadscale   = "read, not run: headscale 0.29.2, hscontrol/db/preauth_keys.go"
	unverifiedHosts = "unverified, the hosted service: " // and the thread that shows it
)

var backendCases = []struct {
	text string
	want Code
	seen string
}{
	{"authkey expired", AuthExpired, runHeadscale},
	{"authkey already used", AuthInvalidKey, runHeadscale},
	{"invalid pre auth key", AuthInvalidKey, runHeadscale},
	{"handling register with auth key: invalid auth key: crypto/bcrypt: hashedPassword is not the hash of the given password", AuthInvalidKey, runHeadscale},
	{"handling register with auth key: failed to parse auth-key: key too short, expected at least 77 chars after prefix, got 76", AuthInvalidKey, runHeadscale},
	{"handling register with auth key: failed to parse auth-key: hash length mismatch, expected 64 chars, got 65", AuthInvalidKey, runHeadscale},
	{"handling register with auth key: creating new node: requested tags [tag:gateway] are invalid or not permitted", TagNotPermitted, runHeadscale},

	{"auth-key expired", AuthExpired, readHeadscale},
	{"auth-key has already been used", AuthInvalidKey, readHeadscale},
	{"auth-key not found", AuthInvalidKey, readHeadscale},
	{"auth-key tag is invalid", TagNotPermitted, readHeadscale},

	{"invalid authkey", AuthInvalidKey, runControl},
	{"node registration rate limited; will retry after 1s", ControlBusy, runControl},

	{"invalid key: unable to validate API key", AuthInvalidKey, unverifiedHosts + "https://github.com/tailscale/tailscale/issues/6215"},
	{"tsnet.Up: backend: invalid key: unable to validate API key", AuthInvalidKey, unverifiedHosts + "https://github.com/almeidapaulopt/tsdproxy/issues/76"},
	{"invalid key: API key does not exist", AuthInvalidKey, unverifiedHosts + "https://github.com/tailscale/tailscale/issues/17047"},
	{"backend error: invalid key: API key does not exist", AuthInvalidKey, unverifiedHosts + "https://github.com/k3s-io/k3s/issues/10729"},
	{"backend error: invalid key: API key kABC11CNTRL not valid", AuthInvalidKey, unverifiedHosts + "https://github.com/tailscale/tailscale/issues/9715"},
	{"TryLogin: register request: http 400: invalid key: API key tskey-012345 not valid", AuthInvalidKey, unverifiedHosts + "https://github.com/tailscale/tailscale/issues/2552"},
	{"Authorization failed: requested tags [tag:homeassistant] are invalid or not permitted", TagNotPermitted, unverifiedHosts + "https://github.com/hassio-addons/app-tailscale/issues/642"},
	{"requested tags [tag:service] are invalid or not permitted", TagNotPermitted, unverifiedHosts + "https://github.com/tailscale/tailscale/issues/15456"},
	{`register request: Post "https://controlplane.tailscale.com/machine/register": connection attempts aborted by context: context deadline exceeded`, ControlUnreachable, unverifiedHosts + "https://github.com/tailscale/tailscale-qpkg/issues/46"},
	{`register request: Post "https://controlplane.tailscale.com/machine/register": unexpected EOF`, ControlUnreachable, unverifiedHosts + "https://github.com/tailscale/tailscale/issues/6851"},

	{"dial tcp 127.0.0.1:9: connect: connection refused", ControlUnreachable, "run: Go's own words"},
	{"dial tcp: lookup control.invalid: no such host", ControlUnreachable, "Go's own words"},
	{`fetch control key: Get "https://x": i/o timeout`, ControlUnreachable, "Go's own words"},

	{"register request: http 500: internal server error", Unknown, unverifiedHosts + "https://github.com/tailscale/tailscale/issues/14349"},
	{"the moon is in the wrong house", Unknown, "nobody"},
	{"", Unknown, "nobody"},
}

func TestWordsOfControlPlanesBecomeCodes(t *testing.T) {
	for _, test := range backendCases {
		if got := OfBackend(test.text); got != test.want {
			t.Errorf("OfBackend(%q) = %s, want %s (%s)", test.text, got, test.want, test.seen)
		}
	}
}

func TestEveryUnverifiedTextNamesTheThreadThatShowsIt(t *testing.T) {
	for _, test := range backendCases {
		if link, unverified := strings.CutPrefix(test.seen, unverifiedHosts); unverified && !strings.HasPrefix(link, "https://github.com/") {
			t.Errorf("%q has no thread", test.text)
		}
	}
}

func TestAUsedOneOffKeyIsToldFromOtherInvalidOnes(t *testing.T) {
	detail := FromBackend("authkey already used").Detail
	if !strings.HasPrefix(detail, "authkey already used") || !strings.Contains(detail, "one-off") || !strings.Contains(detail, "reusable") {
		t.Errorf("the detail is %q", detail)
	}
	if detail := FromBackend("invalid authkey").Detail; detail != "invalid authkey" {
		t.Errorf("the detail of another text is %q", detail)
	}
}

func TestAnUnknownTextIsKeptForTheOperatorAndKeptFromStrangers(t *testing.T) {
	trouble := FromBackend("the moon is in the wrong house")
	if trouble.Code != Unknown || trouble.Detail != "the moon is in the wrong house" || strings.Contains(trouble.Code.Meaning().Public, "moon") {
		t.Errorf("%+v, public %q", trouble, trouble.Code.Meaning().Public)
	}
}

func TestNoTextIsHiddenByOneBeforeIt(t *testing.T) {
	for at, known := range backendTexts {
		if found := lookUp(known.contains); found != known {
			t.Errorf("%q (number %d) is never reached: %q comes first", known.contains, at, found.contains)
		}
		if known.contains != strings.ToLower(known.contains) {
			t.Errorf("%q must be in lower case", known.contains)
		}
	}
}

func FuzzOfBackend(f *testing.F) {
	for _, test := range backendCases {
		f.Add(test.text)
	}
	every := All()
	f.Fuzz(func(t *testing.T, text string) {
		code := OfBackend(text)
		if _, known := every[code]; !known {
			t.Fatalf("OfBackend(%q) = %q, which is no code", text, code)
		}
		if ascii(text) && OfBackend(strings.ToUpper(text)) != OfBackend(strings.ToLower(text)) {
			t.Errorf("upper and lower case of %q differ", text)
		}
		if !strings.HasPrefix(FromBackend(text).Detail, text) {
			t.Errorf("the detail lost %q", text)
		}
	})
}

func ascii(text string) bool {
	return !slices.ContainsFunc([]byte(text), func(b byte) bool { return b >= 0x80 })
}
