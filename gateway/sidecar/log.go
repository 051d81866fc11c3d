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
	secrets [][]byte
}

func (r *redactor) hide(secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if secret == "" || slices.ContainsFunc(r.secrets, func(known []byte) bool { return string(known) == secret }) {
		return
	}
	r.secrets = append(r.secrets, []byte(secret))
}

func (r *redactor) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clean := line
	for _, secret := range r.secrets {
		clean = bytes.ReplaceAll(clean, secret, []byte("[hidden]"))
	}
	if _, err := r.out.Write(clean); err != nil {
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
