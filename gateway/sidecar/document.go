package main

import (
	"context"
	"net/netip"
	"time"

	"tailscale.com/ipn/ipnstate"

	"hearth.dev/meshlink/internal/auth"
	"hearth.dev/meshlink/internal/codes"
)

// Document is the answer of GET /v1/status.
type Document struct {
	State     string             `json:"state"` // Running, Starting, Failed or Draining
	UptimeS   int64              `json:"uptimeS"`
	Problem   *Problem           `json:"problem"` // null while in the tailnet
	Auth      AuthDocument       `json:"auth"`
	Self      *SelfDocument      `json:"self"` // null while not in the tailnet
	Control   ControlDocument    `json:"control"`
	Net       NetDocument        `json:"net"`
	Freeze    FreezeDocument     `json:"freeze"`
	Tunnels   TunnelDocument     `json:"tunnels"`
	Upstreams []UpstreamDocument `json:"upstreams"`
	Warnings  []Warning          `json:"warnings"`
}

// Problem says why something is not possible. Detail may hold inner names.
type Problem struct {
	Code    codes.Code `json:"code"`
	Message string     `json:"message"`
	Detail  string     `json:"detail"`
	Fix     string     `json:"fix"`
}

// AuthDocument says how the node identified itself, never with what.
type AuthDocument struct {
	State      AuthState   `json:"state"`
	Method     auth.Method `json:"method"`
	AgeS       *int64      `json:"ageS"` // null without a key; of a file since it changed
	Ephemeral  bool        `json:"ephemeral"`
	Normalised []string    `json:"normalised"` // what was taken out of the key's text
}

// SelfDocument is this node as the tailnet knows it.
type SelfDocument struct {
	Name      string       `json:"name"`
	IPs       []netip.Addr `json:"ips"`
	Tags      []string     `json:"tags"`
	KeyExpiry *time.Time   `json:"keyExpiry"`
	HomeDerp  string       `json:"homeDerp"`
	Joins     int          `json:"joins"`
}

// ControlDocument tells whether the control plane can be reached.
type ControlDocument struct {
	Reachable bool   `json:"reachable"`
	LastError string `json:"lastError,omitempty"`
}

// TunnelDocument counts tunnels.
type TunnelDocument struct {
	Open int64 `json:"open"`
	Max  int   `json:"max"`
}

// UpstreamDocument is one upstream and the way to it.
type UpstreamDocument struct {
	Name           string   `json:"name"`
	Node           string   `json:"node"`
	IP             string   `json:"ip"`
	Online         bool     `json:"online"`
	Path           string   `json:"path"` // direct, peer_relay, derp or none
	Endpoint       string   `json:"endpoint"`
	Derp           string   `json:"derp"`
	RTTMs          *float64 `json:"rttMs"`
	LastHandshakeS *int64   `json:"lastHandshakeS"`
	Rx             int64    `json:"rx"`
	Tx             int64    `json:"tx"`
	Tunnels        int      `json:"tunnels"` // open now
	// Candidates are all peers that the upstream may mean, the one in use first.
	Candidates []CandidateDocument `json:"candidates"`
	Dials      DialsDocument       `json:"dials"`
	Bulk       *BulkDocument       `json:"bulk"` // null before the first measurement
	LastError  *failure            `json:"lastError"`
}

// CandidateDocument is a peer that an upstream may mean.
type CandidateDocument struct {
	Node   string   `json:"node"`
	IP     string   `json:"ip"`
	Online bool     `json:"online"`
	RTTMs  *float64 `json:"rttMs"` // null while not known
}

// FreezeDocument tells how this process slept.
type FreezeDocument struct {
	Count    int     `json:"count"`
	LastGapS float64 `json:"lastGapS"`
	Checking bool    `json:"checking"` // no upstream has answered since
}

// DialsDocument counts the dials of an upstream.
type DialsDocument struct {
	OK      int64 `json:"ok"`
	Retried int64 `json:"retried"`
	Failed  int64 `json:"failed"`
}

// Warning is something an operator should know although tunnels work.
type Warning struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Fix  string `json:"fix"`
}

func problemOf(trouble *codes.Error) Problem {
	meaning := trouble.Code.Meaning()
	return Problem{trouble.Code, meaning.Public, trouble.Detail, meaning.Fix}
}

func (s *StatusServer) document(ctx context.Context) Document {
	view := s.tailnet.view()
	document := Document{
		State:     "Running",
		UptimeS:   int64(time.Since(s.started).Seconds()),
		Auth:      authOf(view, time.Now()),
		Net:       s.netDocument(ctx),
		Control:   ControlDocument{view.controlDown == "", view.controlDown},
		Freeze:    s.freezeDocument(),
		Tunnels:   TunnelDocument{s.metrics.openNow.Load(), s.config.MaxTunnels},
		Upstreams: []UpstreamDocument{},
		Warnings:  []Warning{},
	}
	status, trouble := s.networkMap(ctx)
	if trouble != nil {
		problem := problemOf(trouble)
		document.Problem, document.State = &problem, "Failed"
		if trouble.Code == codes.NotReady {
			document.State = "Starting"
		}
	} else if status.Self != nil {
		document.Self = selfOf(status, view.joins)
	}
	if s.connect.Draining() {
		document.State = "Draining"
	}
	for _, upstream := range s.config.Upstreams {
		document.Upstreams = append(document.Upstreams, s.upstreamDocument(upstream, status))
	}
	document.Warnings = append(document.Warnings, warningsOf(document)...)
	document.Warnings = append(document.Warnings, s.bulkWarnings()...)
	return document
}

func selfOf(status *ipnstate.Status, joins int) *SelfDocument {
	self := status.Self
	document := &SelfDocument{
		Name: self.HostName, IPs: self.TailscaleIPs, Tags: []string{},
		KeyExpiry: self.KeyExpiry, HomeDerp: self.Relay, Joins: joins,
	}
	if self.Tags != nil {
		document.Tags = self.Tags.AsSlice()
	}
	return document
}

func (s *StatusServer) upstreamDocument(upstream Upstream, status *ipnstate.Status) UpstreamDocument {
	counts := s.metrics.upstream(upstream.Name)
	document := UpstreamDocument{
		Name:       upstream.Name,
		Path:       "none",
		Tunnels:    s.tunnels.countOf(upstream.Name),
		Candidates: []CandidateDocument{},
		Bulk:       s.bulk.Latest(upstream.Name).document(),
		Dials:      DialsDocument{counts.ok.Load(), counts.retried.Load(), counts.failed.Load()},
		LastError:  counts.lastError.Load(),
	}
	if status == nil {
		return document
	}
	peers := s.book.order(upstream.Name, candidates(upstream, status))
	if len(peers) == 0 {
		return document
	}
	for _, peer := range peers {
		document.Candidates = append(document.Candidates, CandidateDocument{
			peer.HostName, peer.IP.String(), peer.Online, wayOf(peer, s.book.latest(peer.PublicKey)).rttMs(),
		})
	}
	peer := peers[0]
	document.Node, document.IP, document.Online = peer.HostName, peer.IP.String(), peer.Online
	document.Rx, document.Tx = peer.RxBytes, peer.TxBytes
	if !peer.LastHandshake.IsZero() {
		seconds := int64(time.Since(peer.LastHandshake).Seconds())
		document.LastHandshakeS = &seconds
	}
	way := wayOf(peer, s.book.latest(peer.PublicKey))
	document.Path, document.Endpoint, document.Derp = way.Kind, way.Endpoint, way.Derp
	document.RTTMs = way.rttMs()
	return document
}

func (s *StatusServer) freezeDocument() FreezeDocument {
	count, last := s.sleep.Seen()
	return FreezeDocument{count, last.Round(time.Millisecond).Seconds(), s.checking()}
}

func warningsOf(document Document) []Warning {
	var warnings []Warning
	if document.Self != nil && !document.Control.Reachable {
		warnings = append(warnings, Warning{string(codes.ControlUnreachable),
			"The control plane does not answer; open paths go on working, changes in the tailnet are not seen.",
			codes.ControlUnreachable.Meaning().Fix})
	}
	for _, upstream := range document.Upstreams {
		if upstream.Path == "derp" {
			warnings = append(warnings, Warning{"derp_only",
				"The way to " + upstream.Name + " is relayed (" + upstream.Derp + "): slower, and more work for both sides.",
				"Open UDP 41641 at home, or give the home IPv6."})
		}
	}
	return warnings
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
