package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
)

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
