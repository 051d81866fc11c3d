package main

import (
	"context"
	"time"

	"tailscale.com/ipn"
	"tailscale.com/types/key"

	"hearth.dev/meshlink/internal/codes"
	"hearth.dev/meshlink/internal/control"
)

// probe is one answer of the control plane to "are you there, and who are you".
type probe struct {
	key key.MachinePublic
	err error
}

// life is what is known about one member; only the loop in live touches it.
type life struct {
	tailnet *Tailnet
	member  *Member
	started time.Time
	joined  bool

	probing     bool
	probes      chan probe
	controlKey  key.MachinePublic // as it was when the member joined
	cameBackAt  time.Time         // when an unreachable control plane answered again
	wasDown     bool
	approval    bool
	leftAt      time.Time // when a joined member stopped running
	leftState   ipn.State
	offlineFrom time.Time // since when the control plane's map does not reach us
}

func (l *life) onEvent(event ipn.Notify) error {
	t := l.tailnet
	if event.ErrMessage != nil && !l.joined {
		trouble := codes.FromBackend(*event.ErrMessage)
		if trouble.Code.NeedsNewKey() {
			return trouble
		}
		t.setTrouble(trouble)
	} else if event.ErrMessage != nil {
		t.log.Warn("the node reports a problem", "detail", *event.ErrMessage)
	}
	if event.BrowseToURL != nil && *event.BrowseToURL != "" && !l.joined {
		return codes.Fail(codes.AuthInvalidKey, "the control plane asks for an interactive login instead of taking the key")
	}
	if event.State == nil {
		return nil
	}
	l.approval = *event.State == ipn.NeedsMachineAuth
	switch {
	case *event.State == ipn.Running:
		l.leftAt = time.Time{}
		l.onRunning()
	case l.joined && l.leftAt.IsZero():
		l.leftAt, l.leftState = time.Now(), *event.State
	case l.approval:
		t.setTrouble(codes.Fail(codes.NeedsApproval, "the control plane waits for an administrator to approve this device"))
	}
	return nil
}

func (l *life) onRunning() {
	if l.joined {
		return
	}
	l.joined = true
	t := l.tailnet
	t.update(func() {
		t.member, t.trouble, t.controlDown = l.member, nil, ""
		t.joins++
	})
	t.log.Info("in the tailnet", "afterMs", time.Since(l.started).Milliseconds(), "keyRemoved", l.member.key.removed)
	l.askControl(context.Background())
}

func (l *life) onTick(ctx context.Context) error {
	if !l.joined {
		l.askControl(ctx)
		switch {
		case l.approval || l.wasDown && l.cameBackAt.IsZero():
			return nil
		case !l.cameBackAt.IsZero() && time.Since(l.cameBackAt) > recoverGrace:
			return errReplace
		case time.Since(l.started) > joinTimeout:
			return codes.Fail(codes.NotReady, "the control plane answers, but the node was not let in within "+joinTimeout.String())
		}
		return nil
	}
	if !l.leftAt.IsZero() && time.Since(l.leftAt) > leftGrace {
		l.tailnet.log.Warn("the node left the tailnet, joining again", "state", l.leftState.String())
		return errReplace
	}
	return l.checkMapStream(ctx)
}

// checkMapStream asks the control plane directly once its map stream is broken.
func (l *life) checkMapStream(ctx context.Context) error {
	status, err := l.member.client.StatusWithoutPeers(ctx)
	if err != nil || status.Self == nil {
		return nil
	}
	if status.Self.Online {
		l.offlineFrom = time.Time{}
		l.setControlDown("")
		return nil
	}
	if l.offlineFrom.IsZero() {
		l.offlineFrom = time.Now()
	}
	l.askControl(ctx)
	return nil
}

func (l *life) askControl(ctx context.Context) {
	if l.probing {
		return
	}
	l.probing = true
	go func() {
		key, err := control.FetchKey(ctx, l.tailnet.config.ControlURL)
		l.probes <- probe{key, err}
	}()
}

func (l *life) onProbe(p probe) error {
	l.probing = false
	t := l.tailnet
	if p.err != nil {
		l.wasDown, l.cameBackAt = true, time.Time{}
		l.setControlDown(p.err.Error())
		if !l.joined {
			t.setTrouble(codes.Fail(codes.ControlUnreachable, p.err.Error()))
		}
		return nil
	}
	if !l.joined {
		if l.wasDown && l.cameBackAt.IsZero() {
			l.cameBackAt = time.Now()
			l.setControlDown("")
			t.setTrouble(codes.Fail(codes.NotReady, "the control plane answers again, joining"))
		}
		return nil
	}
	l.setControlDown("")
	if l.controlKey.IsZero() {
		l.controlKey = p.key
	}
	if p.key != l.controlKey {
		t.log.Warn("the control plane came back with another key and has forgotten this node, joining again")
		return errReplace
	}
	return l.checkForgotten()
}

// checkForgotten replaces a member whose map stream stays broken although the
// control plane answers: the node was removed there, as ephemeral nodes are
// after a long silence.
func (l *life) checkForgotten() error {
	t := l.tailnet
	if l.offlineFrom.IsZero() || time.Since(l.offlineFrom) < forgottenAfter || time.Since(t.lastRejoin) < rejoinEvery {
		return nil
	}
	t.lastRejoin = time.Now()
	t.log.Warn("the control plane answers but sends no map, joining again")
	return errReplace
}

func (l *life) setControlDown(why string) {
	t := l.tailnet
	t.mu.Lock()
	was := t.controlDown
	t.mu.Unlock()
	if was == why {
		return
	}
	t.update(func() { t.controlDown = why })
	if was == "" {
		t.log.Warn("the control plane does not answer; open paths go on working", "detail", why)
	} else if why == "" {
		t.log.Info("the control plane answers again")
	}
}
