// Package gap notices that this process did not run for a while: it was stopped,
// throttled to nothing, or its whole machine slept.
package gap

import (
	"context"
	"sync"
	"time"
)

const (
	lookEvery = time.Second
	// Longest is the longest pause between two looks that still counts as running.
	// A busy machine lets a look be late by a second or two.
	Longest = 5 * time.Second
)

// Detector compares wall clocks: unlike the monotonic one they go on while a
// machine sleeps. A clock that is set forward by hand looks like a sleep, which
// costs one measurement.
type Detector struct {
	onThaw func(asleep time.Duration)
	off    bool

	mu       sync.Mutex
	lookedAt time.Time // wall time only
	thawedAt time.Time
	count    int
	lastGap  time.Duration
}

// New returns a detector that calls onThaw, from whichever goroutine looks first
// after a sleep. Nothing is seen before the first look.
func New(onThaw func(asleep time.Duration)) *Detector { return &Detector{onThaw: onThaw} }

// Off returns a detector that never sees anything.
func Off() *Detector { return &Detector{off: true} }

// Look says when this process last woke up, the zero time if it never slept.
// Whoever is about to promise something looks first: the ticker's own look may be
// later.
func (d *Detector) Look(now time.Time) (thawedAt time.Time) {
	if d.off {
		return time.Time{}
	}
	d.mu.Lock()
	wall := now.Round(0)
	asleep := wall.Sub(d.lookedAt)
	thawed := !d.lookedAt.IsZero() && asleep > Longest
	d.lookedAt = wall
	if thawed {
		d.thawedAt, d.lastGap = now, asleep
		d.count++
	}
	thawedAt = d.thawedAt
	d.mu.Unlock()
	if thawed {
		d.onThaw(asleep)
	}
	return thawedAt
}

// Run looks every second until ctx ends.
func (d *Detector) Run(ctx context.Context) {
	if d.off {
		return
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		d.Look(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Seen returns how many sleeps there were, and how long the last one was.
func (d *Detector) Seen() (count int, last time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count, d.lastGap
}
