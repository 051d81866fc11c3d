package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"hearth.dev/meshlink/internal/codes"
)

func TestDialErrorsBecomeCodes(t *testing.T) {
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want codes.Code
	}{
		{"refused by the kernel", t.Context(), fmt.Errorf("dial: %w", syscall.ECONNREFUSED), codes.Refused},
		{"refused inside the tailnet", t.Context(), errors.New("connect tcp 100.64.0.1:81: connection was refused"), codes.Refused},
		{"our deadline", expired, errors.New("context deadline exceeded"), codes.DialTimeout},
		{"the stack's deadline", t.Context(), errors.New("connect tcp 100.64.0.1:80: operation timed out"), codes.DialTimeout},
		{"anything else", t.Context(), errors.New("no route to host"), codes.Unknown},
	} {
		if got := classifyDial(test.ctx, test.err).Code; got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
