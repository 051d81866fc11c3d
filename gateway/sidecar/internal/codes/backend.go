package codes

import "strings"

// backendTexts maps what control planes say to codes, most telling text first.
// They are the words of the hosted service, of headscale and of testcontrol.
var backendTexts = []struct {
	contains string
	code     Code
}{
	{"authkey expired", AuthExpired},
	{"auth-key expired", AuthExpired},
	{"auth key expired", AuthExpired},
	{"key has expired", AuthExpired},
	{"key expired", AuthExpired},
	{"invalid authkey", AuthInvalidKey},
	{"invalid auth key", AuthInvalidKey},
	{"invalid pre auth key", AuthInvalidKey},
	{"invalid key", AuthInvalidKey},
	{"failed to parse auth-key", AuthInvalidKey},
	{"auth-key not found", AuthInvalidKey},
	{"authkey not found", AuthInvalidKey},
	{"authkey already used", AuthInvalidKey},
	{"auth-key has already been used", AuthInvalidKey},
	{"api key does not exist", AuthInvalidKey},
	{"unable to validate api key", AuthInvalidKey},
	{"hashedpassword is not the hash", AuthInvalidKey},
	{"requested tags", TagNotPermitted},
	{"tag is invalid", TagNotPermitted},
	{"machine auth", NeedsApproval},
	{"not approved", NeedsApproval},
	{"connection refused", ControlUnreachable},
	{"no such host", ControlUnreachable},
	{"network is unreachable", ControlUnreachable},
	{"i/o timeout", ControlUnreachable},
}

// OfBackend turns a message of the control client into a code.
func OfBackend(text string) Code {
	lower := strings.ToLower(text)
	for _, known := range backendTexts {
		if strings.Contains(lower, known.contains) {
			return known.code
		}
	}
	return Unknown
}
