package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// admin is the switchboard of a running lab control: a POST to /fault/NAME
// switches a fault on, or off with ?on=false. It answers {"ok":true} when the
// nodes are being told; a node needs a moment to act on it.
//
//	approval                    nodes that come from now on wait for approval
//	approve?node=NAME           lets waiting nodes in; without a name all of them
//	expire?node=NAME            the key that the node has now has expired; without a
//	                            name everybody's, and new ones are expired at once
//	hide?node=NAME              the others do not see the node
//	deny?node=NAME&port=N       the node's packet filter lets nobody in at the port
//	capability?node=NAME&name=C the node has a capability, such as only-tcp-443
//	share?node=NAME&suffix=S    the others see the node as one of another account
//	rate-limit?retry-after=N    registrations are answered with 429
//	derp                        the relay is stopped; off starts it on the same port
//	derp-map?region=N           the relay is region N's; off makes it region 1's again
//	hold-streams                map streams stay open and say nothing
//	drop-streams                map streams end at once
//
// GET /nodes lists the nodes.
type admin struct {
	faults  *faults
	streams *streams
	relay   *relay
	derpMap func(region int) *tailcfg.DERPMap
}

// faultRequest is one POST.
type faultRequest struct {
	query url.Values
	node  string
	on    bool
}

func (a *admin) handler() http.Handler {
	mux := http.NewServeMux()
	for name, apply := range map[string]func(faultRequest) error{
		"approval":     a.set(func(r faultRequest) { a.faults.approval = r.on }),
		"approve":      a.set(func(r faultRequest) { a.faults.approve(a.keysOf(r.node)) }),
		"expire":       a.expire,
		"hide":         a.named(func(r faultRequest) { a.faults.hidden[r.node] = r.on }),
		"deny":         a.deny,
		"capability":   a.capability,
		"share":        a.share,
		"rate-limit":   a.rateLimit,
		"derp":         func(r faultRequest) error { return a.relay.set(!r.on) },
		"derp-map":     a.moveRelay,
		"hold-streams": a.set(func(r faultRequest) { a.faults.held = r.on }),
		"drop-streams": a.drop,
	} {
		mux.HandleFunc("POST /fault/"+name, func(w http.ResponseWriter, request *http.Request) { answer(w, request, apply) })
	}
	mux.HandleFunc("GET /nodes", a.nodes)
	return mux
}

func answer(w http.ResponseWriter, request *http.Request, apply func(faultRequest) error) {
	query := request.URL.Query()
	parsed := faultRequest{query: query, node: query.Get("node"), on: true}
	var err error
	if on := query.Get("on"); on != "" {
		if parsed.on, err = strconv.ParseBool(on); err != nil {
			err = fmt.Errorf("on=%q, want true or false", on)
		}
	}
	if err == nil {
		err = apply(parsed)
	}
	if err != nil {
		http.Error(w, request.URL.String()+": "+err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintln(w, `{"ok":true}`)
}

// set makes a change of the faults and tells the nodes.
func (a *admin) set(change func(faultRequest)) func(faultRequest) error {
	return func(r faultRequest) error {
		a.faults.change(func() { change(r) })
		a.streams.wakeAll()
		return nil
	}
}

// named is set for faults that one node must be named for.
func (a *admin) named(change func(faultRequest)) func(faultRequest) error {
	return func(r faultRequest) error {
		if r.node == everyNode {
			return fmt.Errorf("want node=NAME")
		}
		return a.set(change)(r)
	}
}

func (a *admin) expire(r faultRequest) error {
	keys := a.keysOf(r.node)
	if r.node == everyNode {
		a.streams.control.SetExpireAllNodes(r.on)
	}
	return a.set(func(r faultRequest) {
		if r.node == everyNode {
			a.faults.allExpired = r.on
		}
		for _, key := range keys {
			a.faults.expired[key] = r.on
		}
	})(r)
}

func (a *admin) deny(r faultRequest) error {
	port, err := strconv.ParseUint(r.query.Get("port"), 10, 16)
	if err != nil || port == 0 {
		return fmt.Errorf("port=%q, want 1 to 65535", r.query.Get("port"))
	}
	return a.named(func(r faultRequest) { toggle(a.faults.denied, r.node, uint16(port), r.on) })(r)
}

func (a *admin) capability(r faultRequest) error {
	name := tailcfg.NodeCapability(r.query.Get("name"))
	if name == "" {
		return fmt.Errorf("want name=CAPABILITY")
	}
	return a.named(func(r faultRequest) { toggle(a.faults.capabilities, r.node, name, r.on) })(r)
}

func (a *admin) share(r faultRequest) error {
	suffix := r.query.Get("suffix")
	if r.on && suffix == "" {
		return fmt.Errorf("want suffix=DOMAIN")
	}
	return a.named(func(r faultRequest) {
		if delete(a.faults.shared, r.node); r.on {
			a.faults.shared[r.node] = suffix
		}
	})(r)
}

func (a *admin) rateLimit(r faultRequest) error {
	retryAfter := r.query.Get("retry-after")
	if retryAfter == "" {
		retryAfter = "1"
	}
	return a.set(func(r faultRequest) {
		if a.faults.retryAfter = ""; r.on {
			a.faults.retryAfter = retryAfter
		}
	})(r)
}

func (a *admin) moveRelay(r faultRequest) error {
	region := 1
	if r.on {
		parsed, err := strconv.ParseUint(r.query.Get("region"), 10, 8)
		if err != nil || parsed == 0 {
			return fmt.Errorf("region=%q, want 1 to 255", r.query.Get("region"))
		}
		region = int(parsed)
	}
	return a.set(func(faultRequest) { a.faults.derpMap = a.derpMap(region) })(r)
}

func (a *admin) drop(r faultRequest) error {
	a.faults.change(func() { a.faults.dropped = r.on })
	if r.on {
		a.streams.cutAll()
	}
	return nil
}

func (a *admin) keysOf(name string) []key.NodePublic {
	var keys []key.NodePublic
	for _, node := range a.streams.control.AllNodes() {
		if name == everyNode || node.Hostinfo.Hostname() == name {
			keys = append(keys, node.Key)
		}
	}
	return keys
}

// nodeLine is one node in the answer to GET /nodes.
type nodeLine struct {
	Name   string       `json:"name"`
	IP     netip.Prefix `json:"ip"`
	Tags   []string     `json:"tags"`
	Online bool         `json:"online"`
}

func (a *admin) nodes(w http.ResponseWriter, _ *http.Request) {
	lines := []nodeLine{}
	for _, node := range a.streams.control.AllNodes() {
		lines = append(lines, nodeLine{node.Hostinfo.Hostname(), node.Addresses[0], node.Tags, node.Online != nil && *node.Online})
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(lines)
}

func toggle[K comparable](sets map[string]map[K]bool, node string, member K, on bool) {
	if sets[node] == nil {
		sets[node] = map[K]bool{}
	}
	if delete(sets[node], member); on {
		sets[node][member] = true
	}
}
