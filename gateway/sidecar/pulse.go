package main

import "time"

const (
	// watchLookMax is the most time that counts between two looks at a peer: what
	// is longer, this process slept through.
	watchLookMax = 2500 * time.Millisecond
	// watchAskAfter is how long a peer may be silent before it is pinged.
	watchAskAfter = 3 * time.Second
	watchLostMin  = 3 // pings that must be lost before silence means death
	// A network map that has lost a peer may be wrong for a moment, and control may
	// have lost a home that is well: two lost pings, or two looks at a peer that is
	// no longer in the map, confirm it.
	doubtLostMin  = 2
	doubtGoneMin  = 2
	watchAskLimit = 4 // a shorter limit asks sooner: after this part of it
)

// standing is what the network map says about a peer.
type standing int

const (
	standsOnline standing = iota
	standsOffline
	standsGone // its key is not in the map: removed, or replaced by a new one
)

// peerLook is what one look at a peer saw.
type peerLook struct {
	now      time.Time
	heard    uint64 // grows with every byte and every pong from the peer
	lost     int    // pings that were lost so far
	standing standing
}

// pulse is what is remembered about a peer from look to look.
type pulse struct {
	look     peerLook
	silent   time.Duration // awake, since the last sign of life
	lostFrom int           // lost pings at the last sign of life, or when the doubt began
	gone     int           // looks in a row that did not find it in the map
}

// verdict is what to do about a peer.
type verdict int

const (
	peerAlive verdict = iota
	peerAsked         // ping it
	peerLost          // cut its tunnels
)

// newPulse begins to watch a peer.
func newPulse(look peerLook) pulse { return pulse{look: look, lostFrom: look.lost} }

// next judges a peer by one more look. Only silence that this process was awake for
// counts, and only with lost pings to prove it: a peer that merely changes its
// path answers some of them.
func (p pulse) next(look peerLook, limit time.Duration) (pulse, verdict) {
	awake := min(max(look.now.Sub(p.look.now), 0), watchLookMax)
	doubtBegan := look.standing != standsOnline && p.look.standing == standsOnline
	if look.heard != p.look.heard {
		p.silent, p.lostFrom = 0, look.lost
	} else {
		p.silent += awake
	}
	if doubtBegan {
		p.lostFrom = look.lost
	}
	if look.standing == standsGone {
		p.gone++
	} else {
		p.gone = 0
	}
	p.look = look
	return p, p.judge(limit)
}

func (p pulse) judge(limit time.Duration) verdict {
	lost := p.look.lost - p.lostFrom
	switch {
	case p.silent == 0:
		return peerAlive
	case p.gone >= doubtGoneMin && p.silent >= time.Second:
		return peerLost
	case p.look.standing == standsOffline && lost >= doubtLostMin:
		return peerLost
	case p.silent >= limit && lost >= min(watchLostMin, int(limit/time.Second)):
		return peerLost
	case p.look.standing == standsOffline, p.silent >= min(watchAskAfter, limit/watchAskLimit):
		return peerAsked
	default:
		return peerAlive
	}
}

func (s standing) String() string {
	switch s {
	case standsOffline:
		return "is offline"
	case standsGone:
		return "is no longer in the tailnet under its key"
	default:
		return "fell silent"
	}
}
