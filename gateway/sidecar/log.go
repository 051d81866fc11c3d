package main

import (
	"bytes"
	"io"
	"log"
	"log/slog"
	"slices"
	"sync"
)

// redactor is the last thing every log byte passes: no secret it was told gets
// through, whoever wrote the line.
type redactor struct {
	mu      sync.Mutex
	out     io.Writer
	secrets [][]byte // latest last
}

// secretsMax keeps the log fast where keys are made over and over: those of the
// configuration are hidden again at every try, older ones are long worthless.
const secretsMax = 64

func (r *redactor) hide(secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if secret == "" {
		return
	}
	r.secrets = slices.DeleteFunc(r.secrets, func(known []byte) bool { return string(known) == secret })
	r.secrets = append(r.secrets, []byte(secret))
	if len(r.secrets) > secretsMax {
		r.secrets = slices.Delete(r.secrets, 0, 1)
	}
}

// clean returns text without the secrets.
func (r *redactor) clean(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.redact([]byte(text)))
}

func (r *redactor) redact(text []byte) []byte {
	for _, secret := range r.secrets {
		text = bytes.ReplaceAll(text, secret, []byte("[hidden]"))
	}
	return text
}

func (r *redactor) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.out.Write(r.redact(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// newLogger writes one JSON object per line and takes over the standard logger,
// through which libraries speak.
func newLogger(out io.Writer, level slog.Level) *slog.Logger {
	logger := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(logger)
	log.SetFlags(0)
	return logger
}
