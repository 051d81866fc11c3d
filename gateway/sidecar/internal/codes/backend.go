package codes

import "strings"

// backendText is a part of what control planes say when they do not let a node
// in, in lower case, and what it means.
type backendText struct {
	contains string
	code     Code
	hint     string // what the text leaves out; for the operator
}

const (
	oneOffHint = "a one-off key lets one node in, once: an instance that starts again needs a reusable key"
	goneHint   = "the hosted service says this of keys that have expired (after at most 90 days), were revoked or never were"
	spentHint  = "the hosted service says this of one-off keys that were used, and of expired ones: take a reusable key"
	cutHint    = "the key is not complete, or something was added to it"
)

// backendTexts is searched from its start: the most telling text comes first. Which
// text was seen where is in the table of backend_test.go.
var backendTexts = []backendText{
	{"authkey already used", AuthInvalidKey, oneOffHint},
	{"auth-key has already been used", AuthInvalidKey, oneOffHint},
	{"authkey expired", AuthExpired, ""},
	{"auth-key expired", AuthExpired, ""},
	{"auth key expired", AuthExpired, ""},
	{"key has expired", AuthExpired, ""},
	{"key expired", AuthExpired, ""},

	{"requested tags", TagNotPermitted, ""},
	{"tag is invalid", TagNotPermitted, ""},

	{"api key does not exist", AuthInvalidKey, goneHint},
	{"unable to validate api key", AuthInvalidKey, cutHint},
	{"failed to parse auth-key", AuthInvalidKey, cutHint},
	{"hashedpassword is not the hash", AuthInvalidKey, ""},
	{"invalid authkey", AuthInvalidKey, ""},
	{"invalid auth key", AuthInvalidKey, ""},
	{"invalid pre auth key", AuthInvalidKey, ""},
	{"auth-key not found", AuthInvalidKey, ""},
	{"authkey not found", AuthInvalidKey, ""},
	{"invalid key", AuthInvalidKey, spentHint},

	{"not approved", NeedsApproval, ""},

	{"rate limited", ControlBusy, ""},
	{"too many requests", ControlBusy, ""},

	{"connection refused", ControlUnreachable, ""},
	{"connection reset", ControlUnreachable, ""},
	{"no such host", ControlUnreachable, ""},
	{"network is unreachable", ControlUnreachable, ""},
	{"no route to host", ControlUnreachable, ""},
	{"i/o timeout", ControlUnreachable, ""},
	{"handshake timeout", ControlUnreachable, ""},
	{"context deadline exceeded", ControlUnreachable, ""},
	{"unexpected eof", ControlUnreachable, ""},
}

// FromBackend turns a message of the control client into an error. Its detail is
// the text itself, with what the text leaves out.
func FromBackend(text string) *Error {
	known := lookUp(text)
	if known.hint != "" {
		text += " (" + known.hint + ")"
	}
	return Fail(known.code, text)
}

// OfBackend turns a message of the control client into a code; what it does not
// know is Unknown.
func OfBackend(text string) Code { return lookUp(text).code }

func lookUp(text string) backendText {
	lower := strings.ToLower(text)
	for _, known := range backendTexts {
		if strings.Contains(lower, known.contains) {
			return known
		}
	}
	return backendText{code: Unknown}
}
