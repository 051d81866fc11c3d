// Package codes names every reason why the mesh cannot carry a request.
package codes

import (
	"errors"
	"net/http"
)

// Code says why a tunnel could not be opened, or why it was cut. Codes are stable:
// the gateway turns them into answers and people search for them.
type Code string

const (
	BadRequest      Code = "mesh_bad_request"
	UnknownUpstream Code = "mesh_unknown_upstream"
	TunnelsFull     Code = "mesh_tunnels_full"
	NotReady        Code = "mesh_not_ready"
	Draining        Code = "mesh_draining"
	Frozen          Code = "mesh_frozen"

	AuthMissingKey     Code = "mesh_auth_missing_key"
	AuthInvalidKey     Code = "mesh_auth_invalid_key"
	AuthExpired        Code = "mesh_auth_expired"
	TagNotPermitted    Code = "mesh_tag_not_permitted"
	NeedsApproval      Code = "mesh_needs_approval"
	ControlUnreachable Code = "mesh_control_unreachable"
	ControlBusy        Code = "mesh_control_busy"

	PeerMissing     Code = "mesh_peer_missing"
	PeerOffline     Code = "mesh_peer_offline"
	PeerLost        Code = "mesh_peer_lost"
	DialTimeout     Code = "mesh_dial_timeout"
	ACLTimeout      Code = "mesh_acl_timeout"
	DERPUnreachable Code = "mesh_derp_unreachable"
	Blackhole       Code = "mesh_blackhole"
	Refused         Code = "mesh_refused"
	Unknown         Code = "mesh_unknown"
)

// Meaning is what a code tells, and to whom.
type Meaning struct {
	// Status is the HTTP status of the refusal.
	Status int
	// Public is fit for strangers: no name, address or cause of the inside.
	Public string
	// Fix is for the operator's eyes, on the status page.
	Fix string
}

var meanings = map[Code]Meaning{
	BadRequest:      {http.StatusBadRequest, "The tunnel request is not valid: want CONNECT NAME HTTP/1.1 and nothing before the answer.", "Send CONNECT with an upstream's name and wait for the 200."},
	UnknownUpstream: {http.StatusNotFound, "No upstream has this name.", "Add the name to MESH_UPSTREAMS."},
	TunnelsFull:     {http.StatusServiceUnavailable, "All tunnels of the mesh are in use.", "Raise MESH_MAX_TUNNELS, or find out who holds so many."},
	NotReady:        {http.StatusServiceUnavailable, "The mesh is not ready yet.", "Wait; if it stays so, read the detail."},
	Draining:        {http.StatusServiceUnavailable, "The mesh is shutting down.", "Nothing: another instance takes over."},
	Frozen:          {http.StatusServiceUnavailable, "This instance was asleep and the home has not answered since.", "Keep the CPU allocated between requests, or let it be: the way is being measured again."},

	AuthMissingKey: {http.StatusServiceUnavailable, "The mesh has no auth key.", "Set TS_AUTHKEY_FILE or TS_AUTHKEY to an ephemeral, reusable auth key."},
	AuthInvalidKey: {http.StatusServiceUnavailable, "The mesh auth key was refused.",
		"Make a new auth key (it may be mistyped, revoked, used up or of another tailnet) and replace the old one."},
	AuthExpired: {http.StatusServiceUnavailable, "The mesh auth key has expired.", "Make a new auth key and replace the old one."},
	TagNotPermitted: {http.StatusServiceUnavailable, "The mesh did not permit this node its tag.",
		"Let the key (or the OAuth client) own the tags of TS_TAGS; with headscale's pre-auth keys leave TS_TAGS empty, the tags come from the key."},
	NeedsApproval:      {http.StatusServiceUnavailable, "The mesh node waits for approval.", "Approve the device in the admin console, or use a pre-approved auth key."},
	ControlUnreachable: {http.StatusServiceUnavailable, "The mesh control plane cannot be reached.", "Check TS_CONTROL_URL and the way out to the internet."},
	ControlBusy:        {http.StatusServiceUnavailable, "The mesh control plane asks to wait.", "Nothing, if it passes; else look for instances that start over and over."},

	PeerMissing:     {http.StatusServiceUnavailable, "The home is not in the mesh.", "Start the home node, and check its tag or name and the access rules."},
	PeerOffline:     {http.StatusServiceUnavailable, "The home is offline.", "Start the home node or its network."},
	PeerLost:        {http.StatusBadGateway, "The home went away in the middle of the work.", "Look whether the home node or its network went down."},
	DialTimeout:     {http.StatusGatewayTimeout, "The home did not answer in time.", "Look whether the home node runs and reaches the internet."},
	ACLTimeout:      {http.StatusGatewayTimeout, "The home is there, but its port did not answer.", "Grant this node the port in the access rules, and look at the firewall at home."},
	DERPUnreachable: {http.StatusServiceUnavailable, "The mesh relay cannot be reached and there is no direct way home.", "Let TCP 443 out to the relays, or make a direct path possible (UDP 41641 or IPv6 at home)."},
	Blackhole:       {http.StatusGatewayTimeout, "Large packets are lost on the way home.", "Set MESH_MTU to what the status document recommends, and the same at home."},
	Refused:         {http.StatusBadGateway, "The home refused the connection.", "Start what should listen on this port at home."},
	Unknown:         {http.StatusBadGateway, "The mesh failed for an unknown reason.", "Read the detail in the status document and the log."},
}

// All returns every code with its meaning.
func All() map[Code]Meaning { return meanings }

// Meaning returns what the code tells.
func (c Code) Meaning() Meaning { return meanings[c] }

// NeedsNewKey says whether only another auth key (or a change in the admin
// console) can help, so that trying on with the same node is pointless.
func (c Code) NeedsNewKey() bool {
	return c == AuthInvalidKey || c == AuthExpired || c == AuthMissingKey || c == TagNotPermitted
}

// NoAnswer says whether nobody answered, as opposed to somebody who refused.
func (c Code) NoAnswer() bool {
	return c == DialTimeout || c == ACLTimeout || c == DERPUnreachable || c == PeerOffline
}

// Error is a failure with its code. Its text may hold inner names and is for
// logs and the status page only; strangers get the code's public text.
type Error struct {
	Code   Code
	Detail string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Fail returns an Error.
func Fail(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }

// From returns err with its code; what has none is Unknown.
func From(err error) *Error {
	var mesh *Error
	if errors.As(err, &mesh) {
		return mesh
	}
	return Fail(Unknown, err.Error())
}
