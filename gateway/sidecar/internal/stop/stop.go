// Package stop turns the ways a process is asked to end into one context.
package stop

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Context ends on SIGTERM or SIGINT, and with withParent also when standard
// input reaches its end, which is what a child sees when its parent is gone.
// context.Cause says which of them it was.
func Context(withParent bool) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() { cancel(fmt.Errorf("signal: %v", <-signals)) }()
	if withParent {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			cancel(fmt.Errorf("standard input ended"))
		}()
	}
	return ctx
}
