package main

import (
	"context"
	"time"

	"tailscale.com/health"
	"tailscale.com/tsconst"

	"hearth.dev/meshlink/internal/codes"
)

// reasonPing is how long one ping may take; a single lost one proves nothing.
const reasonPing = time.Second

// pingAside finds out, while the last try runs, whether the peer answers at all.
func (d *Dialer) pingAside(ctx context.Context, peer Peer) <-chan bool {
	answers := make(chan bool, 1)
	go func() {
		member, err := d.tailnet.Joined(ctx)
		answers <- err == nil && (member.answers(ctx, peer) || member.answers(ctx, peer))
	}()
	return answers
}

func (m *Member) answers(ctx context.Context, peer Peer) bool {
	_, err := m.ping(ctx, peer.IP, reasonPing)
	return err == nil
}

// explain finds the reason why no try was answered.
func (d *Dialer) explain(ctx context.Context, peer Peer, trouble *codes.Error, answers <-chan bool) *codes.Error {
	if trouble.Code != codes.DialTimeout {
		return trouble
	}
	found := silence{answersPings: <-answers}
	if member, err := d.tailnet.Joined(ctx); err == nil {
		found.relayAway = member.relayAway()
	}
	found.direct = wayOf(peer, d.book.latest(peer.PublicKey)).Kind == "direct"
	return codes.Fail(found.code(), peer.HostName+": "+trouble.Detail)
}

// silence is what is known about a peer that let every try time out.
type silence struct {
	answersPings, direct, relayAway bool
}

// code: pings pass every access rule, so a peer that answers them has its port shut
// by a rule or a firewall; without pings, it matters whether there is any way at all.
func (s silence) code() codes.Code {
	switch {
	case s.answersPings:
		return codes.ACLTimeout
	case !s.direct && s.relayAway:
		return codes.DERPUnreachable
	default:
		return codes.DialTimeout
	}
}

// relayAway says whether this node has no connection to its home relay. Right after
// a loss it is not known yet: the node gives a relay ten seconds to come back.
func (m *Member) relayAway() bool {
	conn, ok := m.server.Sys().MagicSock.GetOK()
	if ok && conn.DERPs() == 0 {
		return true
	}
	warnings := m.server.Sys().HealthTracker.Get().CurrentState().Warnings
	for _, code := range []health.WarnableCode{tsconst.HealthWarnableNoDERPHome, tsconst.HealthWarnableNoDERPConnection} {
		if _, warned := warnings[code]; warned {
			return true
		}
	}
	return false
}
