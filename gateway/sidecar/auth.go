package main

import (
	"time"

	"hearth.dev/meshlink/internal/codes"
)

// AuthState says how far this node got with its key.
type AuthState string

const (
	AuthOK          AuthState = "ok"          // the tailnet took the key
	AuthTrying      AuthState = "trying"      // there is a key, and no word about it yet
	AuthMinting     AuthState = "minting"     // a key is being made
	AuthMissing     AuthState = "missing"     // no source holds one
	AuthRefused     AuthState = "refused"     // a new key or secret is needed
	AuthUnreachable AuthState = "unreachable" // what makes keys does not answer
)

// authOf shows the key of view without its secret.
func authOf(view tailnetView, now time.Time) AuthDocument {
	document := AuthDocument{
		State:      authState(view),
		Method:     view.key.Method,
		Ephemeral:  true, // no other kind of node is ever started
		Normalised: orEmpty(view.key.Removed),
	}
	if view.key.Value != "" {
		age := int64(view.key.Age(now).Seconds())
		document.AgeS = &age
	}
	return document
}

func authState(view tailnetView) AuthState {
	if view.member != nil {
		return AuthOK
	}
	switch code := view.trouble.Code; {
	case code == codes.AuthMissingKey:
		return AuthMissing
	case code.NeedsNewKey():
		return AuthRefused
	case code == codes.NeedsApproval:
		return AuthOK
	case view.minting:
		return AuthMinting
	case view.key.Value == "" && view.key.Method.Minted():
		return AuthUnreachable
	}
	return AuthTrying
}
