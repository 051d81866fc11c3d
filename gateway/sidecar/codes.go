package main

import (
	"errors"
	"net/http"
	"strings"
)

// Code says why a tunnel could not be opened. Codes are stable: the gateway
// turns them into answers and people search for them.
type Code string

const (
	codeBadRequest         Code = "mesh_bad_request"
	codeUnknownUpstream    Code = "mesh_unknown_upstream"
	codeNotReady           Code = "mesh_not_ready"
	codeAuthMissingKey     Code = "mesh_auth_missing_key"
	codeAuthInvalidKey     Code = "mesh_auth_invalid_key"
	codeAuthExpired        Code = "mesh_auth_expired"
	codeNeedsApproval      Code = "mesh_needs_approval"
	codeControlUnreachable Code = "mesh_control_unreachable"
	codePeerMissing        Code = "mesh_peer_missing"
	codePeerOffline        Code = "mesh_peer_offline"
	codeDialTimeout        Code = "mesh_dial_timeout"
	codeRefused            Code = "mesh_refused"
	codeDraining           Code = "mesh_draining"
	codeUnknown            Code = "mesh_unknown"
)

type codeMeaning struct {
	status int
	// public is fit for strangers: no name, address or cause of the inside.
	public string
	// fix is for the operator's eyes, on the status page.
	fix string
}

var codeMeanings = map[Code]codeMeaning{
	codeBadRequest:      {http.StatusBadRequest, "The tunnel request is not valid: want CONNECT NAME HTTP/1.1 and nothing before the answer.", "Send CONNECT with an upstream's name and wait for the 200."},
	codeUnknownUpstream: {http.StatusNotFound, "No upstream has this name.", "Add the name to MESH_UPSTREAMS."},
	codeNotReady:        {http.StatusServiceUnavailable, "The mesh is not ready yet.", "Wait; if it stays so, read the detail."},
	codeAuthMissingKey:  {http.StatusServiceUnavailable, "The mesh has no auth key.", "Set TS_AUTHKEY_FILE or TS_AUTHKEY to an ephemeral, reusable auth key."},
	codeAuthInvalidKey: {http.StatusServiceUnavailable, "The mesh auth key was refused.",
		"Make a new auth key (it may be mistyped, revoked, used up or of another tailnet) and replace the old one."},
	codeAuthExpired:        {http.StatusServiceUnavailable, "The mesh auth key has expired.", "Make a new auth key and replace the old one."},
	codeNeedsApproval:      {http.StatusServiceUnavailable, "The mesh node waits for approval.", "Approve the device in the admin console, or use a pre-approved auth key."},
	codeControlUnreachable: {http.StatusServiceUnavailable, "The mesh control plane cannot be reached.", "Check TS_CONTROL_URL and the way out to the internet."},
	codePeerMissing:        {http.StatusServiceUnavailable, "The home is not in the mesh.", "Start the home node, and check its tag or name and the access rules."},
	codePeerOffline:        {http.StatusServiceUnavailable, "The home is offline.", "Start the home node or its network."},
	codeDialTimeout:        {http.StatusGatewayTimeout, "The home did not answer in time.", "Check the access rules, the firewall at home and the port."},
	codeRefused:            {http.StatusBadGateway, "The home refused the connection.", "Start what should listen on this port at home."},
	codeDraining:           {http.StatusServiceUnavailable, "The mesh is shutting down.", "Nothing: another instance takes over."},
	codeUnknown:            {http.StatusBadGateway, "The mesh failed for an unknown reason.", "Read the detail in the status document and the log."},
}

// MeshError is a failure with its code. Its text may hold inner names and is for
// logs and the status page only; strangers get the code's public text.
type MeshError struct {
	Code   Code
	Detail string
}

func (e *MeshError) Error() string { return string(e.Code) + ": " + e.Detail }

func fail(code Code, detail string) *MeshError { return &MeshError{Code: code, Detail: detail} }

// asMeshError returns err with its code; what has none is mesh_unknown.
func asMeshError(err error) *MeshError {
	var mesh *MeshError
	if errors.As(err, &mesh) {
		return mesh
	}
	return fail(codeUnknown, err.Error())
}

// backendTexts maps what control planes say to codes, most telling text first.
// They are the words of the hosted service, of headscale and of testcontrol.
var backendTexts = []struct {
	contains string
	code     Code
}{
	{"authkey expired", codeAuthExpired},
	{"auth-key expired", codeAuthExpired},
	{"auth key expired", codeAuthExpired},
	{"key has expired", codeAuthExpired},
	{"key expired", codeAuthExpired},
	{"invalid authkey", codeAuthInvalidKey},
	{"invalid auth key", codeAuthInvalidKey},
	{"invalid pre auth key", codeAuthInvalidKey},
	{"invalid key", codeAuthInvalidKey},
	{"failed to parse auth-key", codeAuthInvalidKey},
	{"auth-key not found", codeAuthInvalidKey},
	{"authkey not found", codeAuthInvalidKey},
	{"authkey already used", codeAuthInvalidKey},
	{"auth-key has already been used", codeAuthInvalidKey},
	{"api key does not exist", codeAuthInvalidKey},
	{"unable to validate api key", codeAuthInvalidKey},
	{"hashedpassword is not the hash", codeAuthInvalidKey},
	{"requested tags", codeAuthInvalidKey},
	{"tag is invalid", codeAuthInvalidKey},
	{"machine auth", codeNeedsApproval},
	{"not approved", codeNeedsApproval},
	{"connection refused", codeControlUnreachable},
	{"no such host", codeControlUnreachable},
	{"network is unreachable", codeControlUnreachable},
	{"i/o timeout", codeControlUnreachable},
}

// classifyBackend turns a message of the control client into a code.
func classifyBackend(text string) Code {
	lower := strings.ToLower(text)
	for _, known := range backendTexts {
		if strings.Contains(lower, known.contains) {
			return known.code
		}
	}
	return codeUnknown
}

// needsNewKey says whether only another auth key (or a change in the admin
// console) can help, so that trying on with the same node is pointless.
func (c Code) needsNewKey() bool {
	return c == codeAuthInvalidKey || c == codeAuthExpired || c == codeAuthMissingKey
}
