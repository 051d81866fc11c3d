package pipe

import (
	"io"
	"sync/atomic"
	"time"
)

// Clocks tell how the two directions of one pipe get on. They are safe to read
// while bytes flow.
type Clocks struct {
	AToB, BToA Clock
}

// Clock is the progress of one direction. Its zero value is ready to use.
type Clock struct {
	bytes, read, blocked atomic.Int64
}

// Bytes returns how many bytes were passed on.
func (c *Clock) Bytes() int64 { return c.bytes.Load() }

// Heard returns when a byte last came in; the zero time means never.
func (c *Clock) Heard() time.Time { return timeOf(c.read.Load()) }

// BlockedSince returns since when a write waits for the far side to take bytes;
// the zero time means that none waits.
func (c *Clock) BlockedSince() time.Time { return timeOf(c.blocked.Load()) }

func timeOf(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// meter counts one direction, for all pipes of a kind and for this one.
type meter struct {
	total *atomic.Int64
	clock *Clock
}

// pass writes what was just read.
func (m meter) pass(dst io.Writer, bytes []byte) error {
	now := time.Now().UnixNano()
	m.clock.read.Store(now)
	m.clock.blocked.Store(now)
	if _, err := dst.Write(bytes); err != nil {
		return err
	}
	m.clock.blocked.Store(0)
	m.clock.bytes.Add(int64(len(bytes)))
	m.total.Add(int64(len(bytes)))
	return nil
}
