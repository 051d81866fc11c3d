package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"hearth.dev/meshlink/internal/auth"
	"hearth.dev/meshlink/internal/codes"
)

const (
	joinTick          = time.Second
	memberTick        = 2 * time.Second
	joinTimeout       = 45 * time.Second // with the control plane answering; then a fresh start
	recoverGrace      = 2 * time.Second  // the node's own retry goes first, ours comes after
	leftGrace         = 3 * time.Second
	forgottenAfter    = time.Minute
	rejoinEvery       = 5 * time.Minute
	backoffMin        = time.Second
	backoffMax        = 15 * time.Second
	keyLookEvery      = 500 * time.Millisecond
	readyWait         = 3 * time.Second
	retireTimeout     = 6 * time.Second
	controlGoneCloses = 500 * time.Millisecond
)

// errReplace ends the life of a member that a new one should follow at once.
var errReplace = errors.New("replace the member")

// Tailnet keeps this process in the tailnet. States, in order of a good start:
//
//	trouble (why not, or "starting") → joined → trouble …
//
// Whatever goes wrong, it stays up, says why, and tries again by itself.
type Tailnet struct {
	config   Config
	log      *slog.Logger
	redactor *redactor
	chain    *auth.Chain // of Run alone

	mu          sync.Mutex
	changed     chan struct{} // closed at each change of what follows
	member      *Member       // nil until joined
	trouble     *codes.Error  // nil while joined
	key         auth.Key      // of the latest try
	minting     bool          // a key is being made
	controlDown string        // why the control plane does not answer; empty while it does
	joins       int
	lastRejoin  time.Time
}

// newTailnet returns a tailnet that Run brings to life.
func newTailnet(config Config, log *slog.Logger, redactor *redactor) *Tailnet {
	sources := config.Auth
	sources.Raw = config.without("normaliser")
	return &Tailnet{
		config: config, log: log, redactor: redactor,
		chain:   auth.NewChain(sources, redactor.hide),
		changed: make(chan struct{}),
		trouble: codes.Fail(codes.NotReady, "starting"),
	}
}

func (t *Tailnet) update(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
	close(t.changed)
	t.changed = make(chan struct{})
}

// setTrouble says why this process is not in the tailnet. What others said is
// shown to operators, so a secret that they repeat is taken out first.
func (t *Tailnet) setTrouble(trouble *codes.Error) {
	trouble = codes.Fail(trouble.Code, t.redactor.clean(trouble.Detail))
	t.mu.Lock()
	same := t.trouble != nil && *t.trouble == *trouble
	t.mu.Unlock()
	if same {
		return
	}
	t.update(func() { t.trouble = trouble })
	t.log.Warn("not in the tailnet", "code", trouble.Code, "detail", trouble.Detail, "fix", trouble.Code.Meaning().Fix)
}

// Joined returns the current member. While the tailnet is only starting it waits
// up to three seconds; a known reason is returned at once, as a *codes.Error.
func (t *Tailnet) Joined(ctx context.Context) (*Member, error) {
	deadline := time.NewTimer(readyWait)
	defer deadline.Stop()
	for {
		t.mu.Lock()
		member, trouble, changed := t.member, t.trouble, t.changed
		t.mu.Unlock()
		if member != nil {
			return member, nil
		}
		if trouble.Code != codes.NotReady && !t.config.without("reasons") {
			return nil, trouble
		}
		select {
		case <-changed:
		case <-deadline.C:
			return nil, t.told(trouble)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// told hides the reason where the lab has switched reasons off.
func (t *Tailnet) told(trouble *codes.Error) *codes.Error {
	if trouble != nil && t.config.without("reasons") {
		return codes.Fail(codes.Unknown, "not in the tailnet")
	}
	return trouble
}

// tailnetView is one consistent look at a Tailnet.
type tailnetView struct {
	member      *Member
	trouble     *codes.Error // nil while member is not
	key         auth.Key
	minting     bool
	controlDown string
	joins       int
}

func (t *Tailnet) view() tailnetView {
	t.mu.Lock()
	defer t.mu.Unlock()
	return tailnetView{t.member, t.told(t.trouble), t.key, t.minting, t.controlDown, t.joins}
}

// Run keeps a member in the tailnet until ctx ends, then takes it out.
func (t *Tailnet) Run(ctx context.Context) {
	backoff := backoffMin
	for generation := 1; ctx.Err() == nil; generation++ {
		sources := t.chain.Fingerprint()
		key, err := t.readKey(ctx)
		if err == nil {
			err = t.live(ctx, key, generation)
		}
		if errors.Is(err, errReplace) || ctx.Err() != nil {
			backoff = backoffMin
			continue
		}
		t.setTrouble(codes.From(err))
		if t.pause(ctx, backoff, sources) {
			backoff = backoffMin
		} else {
			backoff = min(2*backoff, backoffMax)
		}
	}
}

// readKey asks the chain for a key, and shows how that went.
func (t *Tailnet) readKey(ctx context.Context) (auth.Key, error) {
	t.update(func() { t.minting = t.config.Auth.Mints() })
	key, err := t.chain.Read(ctx)
	before := t.view().key
	t.update(func() { t.key, t.minting = key, false })
	if !slices.Equal(key.Skipped, before.Skipped) || !slices.Equal(key.Removed, before.Removed) {
		t.log.Info("the auth key", "method", key.Method, "removed", key.Removed, "skipped", key.Skipped)
	}
	return key, err
}

// pause waits before the next try. It ends early, and says so, when the text of a
// source of keys changed since tried; to look makes no key.
func (t *Tailnet) pause(ctx context.Context, wait time.Duration, tried string) (changed bool) {
	deadline := time.After(wait)
	ticker := time.NewTicker(keyLookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-deadline:
			return false
		case <-ticker.C:
		}
		if t.chain.Fingerprint() != tried {
			return true
		}
	}
}

// live runs one member from its start until it must be replaced, and retires it.
func (t *Tailnet) live(ctx context.Context, key auth.Key, generation int) error {
	member, err := startMember(t.config, key, generation, t.log)
	if err != nil {
		return codes.FromBackend(err.Error())
	}
	defer t.retire(ctx, member)
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	life := &life{tailnet: t, member: member, started: time.Now(), probes: make(chan probe, 1)}
	events := member.watch(watching)
	ticker := time.NewTicker(joinTick)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, open := <-events:
			if !open {
				return codes.Fail(codes.NotReady, "the node's event stream ended")
			}
			err = life.onEvent(event)
			if life.joined {
				ticker.Reset(memberTick)
			}
		case probe := <-life.probes:
			err = life.onProbe(probe)
		case <-ticker.C:
			err = life.onTick(watching)
		}
		if errors.Is(err, errReplace) && t.config.without("rejoin") {
			continue
		}
		if err != nil {
			return err
		}
	}
}

// retire closes a member. At the end of the process it waits for the log-out, but
// not long when nobody would hear it; a replaced member is closed aside.
func (t *Tailnet) retire(ctx context.Context, member *Member) {
	t.mu.Lock()
	controlDown := t.controlDown != ""
	neverJoined := t.member == nil
	t.mu.Unlock()
	t.update(func() {
		if t.member == member {
			t.member, t.trouble = nil, codes.Fail(codes.NotReady, "joining again")
		}
	})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		member.Close()
	}()
	if ctx.Err() == nil {
		return
	}
	wait := retireTimeout
	if controlDown || neverJoined {
		wait = controlGoneCloses
	}
	select {
	case <-closed:
	case <-time.After(wait):
	}
}
