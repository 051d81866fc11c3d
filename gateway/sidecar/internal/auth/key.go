// Package auth finds, or makes, the key with which this process joins its
// tailnet. It is the only place that sees secrets, and it never prints one.
package auth

import (
	"fmt"
	"time"
)

// Method says how a key came to be.
type Method string

const (
	FromFile     Method = "authkey-file"
	FromEnv      Method = "authkey-env"
	FromOAuth    Method = "oauth"
	FromWorkload Method = "workload-identity"
)

// Minted says whether each key of this method is made by a call, for one use.
func (m Method) Minted() bool { return m == FromOAuth || m == FromWorkload }

// Key is an auth key ready for use, or without a value the way that was tried.
type Key struct {
	Value  string // secret
	Method Method
	// Removed names what was taken out of the text: see Normalise.
	Removed []string
	// Skipped says why sources before this one were passed over.
	Skipped []string
	// Since is when a file last changed, when a key was minted, or when the text
	// of a variable was first seen.
	Since time.Time
}

// Age returns for how long the key has been there, never less than zero.
func (k Key) Age(now time.Time) time.Duration { return max(0, now.Sub(k.Since)) }

// String tells everything but the secret.
func (k Key) String() string { return fmt.Sprintf("auth.Key(%s, removed %q)", k.Method, k.Removed) }

// GoString is String: %#v shows no secret either.
func (k Key) GoString() string { return k.String() }
