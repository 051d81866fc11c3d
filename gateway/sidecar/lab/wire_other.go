//go:build !linux

package main

import (
	"context"
	"errors"
	"log/slog"
)

// worsen needs socket filters, which only Linux has.
func (o wireOptions) worsen(context.Context, *slog.Logger) error {
	if o.worse() {
		return errors.New("--wire-bytes-max and --lose-percent need Linux")
	}
	return nil
}
