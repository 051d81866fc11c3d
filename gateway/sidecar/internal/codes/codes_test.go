package codes

import (
	"strings"
	"testing"
)

func TestWordsOfControlPlanesBecomeCodes(t *testing.T) {
	for text, want := range map[string]Code{
		// the hosted service
		"invalid key: unable to validate API key":                   AuthInvalidKey,
		"invalid key: API key does not exist":                       AuthInvalidKey,
		"invalid key: API key kABC not valid":                       AuthInvalidKey,
		"requested tags [tag:gateway] are invalid or not permitted": TagNotPermitted,
		// headscale
		"handling register with auth key: invalid auth key: crypto/bcrypt: hashedPassword is not the hash of the given password": AuthInvalidKey,
		"invalid pre auth key":           AuthInvalidKey,
		"authkey expired":                AuthExpired,
		"auth-key expired":               AuthExpired,
		"authkey already used":           AuthInvalidKey,
		"auth-key has already been used": AuthInvalidKey,
		"auth-key not found":             AuthInvalidKey,
		"failed to parse auth-key: hash length mismatch, expected 64 chars, got 65": AuthInvalidKey,
		// testcontrol
		"invalid authkey": AuthInvalidKey,
		// the way there
		"dial tcp 127.0.0.1:9: connect: connection refused": ControlUnreachable,
		"dial tcp: lookup control.invalid: no such host":    ControlUnreachable,
		"fetch control key: Get \"https://x\": i/o timeout": ControlUnreachable,
		// something new
		"the moon is in the wrong house": Unknown,
	} {
		if got := OfBackend(text); got != want {
			t.Errorf("OfBackend(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestEveryCodeHasAStatusAPublicTextAndAFix(t *testing.T) {
	for code, meaning := range All() {
		if meaning.Status < 400 || meaning.Public == "" || meaning.Fix == "" || !strings.HasPrefix(string(code), "mesh_") {
			t.Errorf("%s is incomplete: %+v", code, meaning)
		}
	}
}
