package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"syscall"
	"testing"
)

func TestWordsOfControlPlanesBecomeCodes(t *testing.T) {
	for text, want := range map[string]Code{
		// the hosted service
		"invalid key: unable to validate API key":                   codeAuthInvalidKey,
		"invalid key: API key does not exist":                       codeAuthInvalidKey,
		"invalid key: API key kABC not valid":                       codeAuthInvalidKey,
		"requested tags [tag:gateway] are invalid or not permitted": codeAuthInvalidKey,
		// headscale
		"handling register with auth key: invalid auth key: crypto/bcrypt: hashedPassword is not the hash of the given password": codeAuthInvalidKey,
		"invalid pre auth key":           codeAuthInvalidKey,
		"authkey expired":                codeAuthExpired,
		"auth-key expired":               codeAuthExpired,
		"authkey already used":           codeAuthInvalidKey,
		"auth-key has already been used": codeAuthInvalidKey,
		"auth-key not found":             codeAuthInvalidKey,
		"failed to parse auth-key: hash length mismatch, expected 64 chars, got 65": codeAuthInvalidKey,
		// testcontrol
		"invalid authkey": codeAuthInvalidKey,
		// the way there
		"dial tcp 127.0.0.1:9: connect: connection refused": codeControlUnreachable,
		"dial tcp: lookup control.invalid: no such host":    codeControlUnreachable,
		"fetch control key: Get \"https://x\": i/o timeout": codeControlUnreachable,
		// something new
		"the moon is in the wrong house": codeUnknown,
	} {
		if got := classifyBackend(text); got != want {
			t.Errorf("classifyBackend(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestDialErrorsBecomeCodes(t *testing.T) {
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want Code
	}{
		{"refused by the kernel", t.Context(), fmt.Errorf("dial: %w", syscall.ECONNREFUSED), codeRefused},
		{"refused inside the tailnet", t.Context(), errors.New("connect tcp 100.64.0.1:81: connection was refused"), codeRefused},
		{"our deadline", expired, errors.New("context deadline exceeded"), codeDialTimeout},
		{"the stack's deadline", t.Context(), errors.New("connect tcp 100.64.0.1:80: operation timed out"), codeDialTimeout},
		{"anything else", t.Context(), errors.New("no route to host"), codeUnknown},
	} {
		if got := classifyDial(test.ctx, test.err).Code; got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestEveryCodeHasAStatusAPublicTextAndAFix(t *testing.T) {
	if len(codeMeanings) != 14 {
		t.Errorf("%d codes, want the 14 of the contract", len(codeMeanings))
	}
	for code, meaning := range codeMeanings {
		if meaning.status < 400 || meaning.public == "" || meaning.fix == "" || !strings.HasPrefix(string(code), "mesh_") {
			t.Errorf("%s is incomplete: %+v", code, meaning)
		}
	}
}

func TestTheLogNeverShowsASecretWhoeverWritesIt(t *testing.T) {
	var out bytes.Buffer
	redactor := &redactor{out: &out}
	log := newLogger(redactor, slog.LevelInfo)
	defer slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	redactor.hide("tskey-auth-secret")
	redactor.hide("")
	log.Info("key is tskey-auth-secret", "again", "tskey-auth-secret")
	slog.Warn("from a library", "error", errors.New("bad key tskey-auth-secret"))
	if strings.Contains(out.String(), "tskey-auth-secret") || strings.Count(out.String(), "[hidden]") != 3 {
		t.Errorf("the log shows the secret: %s", out.String())
	}
}
