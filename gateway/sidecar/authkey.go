package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"

	"hearth.dev/meshlink/internal/codes"
)

const keyFileBytesMax = 64 << 10

// keySources are the places where the auth key may be, in order of use.
type keySources struct {
	file string // read anew at every try, so that a replaced secret is picked up
	// env holds the value of the first variable that is set.
	env, envName string
}

// authKey is a key ready for use. It is never printed: see redactor.
type authKey struct {
	value   string
	method  string   // where it came from: authkey-file or authkey-env
	removed []string // what the normaliser took out
}

// read returns the first key that is not empty, or mesh_auth_missing_key with
// the reason why there is none.
func (s keySources) read() (authKey, error) {
	var reasons []string
	if s.file != "" {
		raw, err := readKeyFile(s.file)
		if err != nil {
			reasons = append(reasons, fmt.Sprintf("TS_AUTHKEY_FILE: %v", err))
		} else if key, removed := normaliseKey(raw); key != "" {
			return authKey{key, "authkey-file", removed}, nil
		} else {
			reasons = append(reasons, fmt.Sprintf("TS_AUTHKEY_FILE=%s is empty", s.file))
		}
	}
	if key, removed := normaliseKey(s.env); key != "" {
		return authKey{key, "authkey-env", removed}, nil
	} else if s.envName != "" {
		reasons = append(reasons, s.envName+" is empty")
	}
	if len(reasons) == 0 {
		reasons = []string{"none of TS_AUTHKEY_FILE, TS_AUTHKEY and TAILSCALE_AUTH_KEY is set"}
	}
	return authKey{}, codes.Fail(codes.AuthMissingKey, strings.Join(reasons, "; "))
}

func readKeyFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, keyFileBytesMax))
	if err != nil {
		return "", err
	}
	return string(raw), nil
}

// normaliseKey removes what editors, shells and copy-paste add to a key, and
// names what it removed. Nothing of that kind is ever part of a real key, and
// control planes answer to it with riddles.
func normaliseKey(raw string) (key string, removed []string) {
	noted := map[string]bool{}
	note := func(what string) {
		if !noted[what] {
			noted[what] = true
			removed = append(removed, what)
		}
	}
	text := decodeUTF16(raw, note)
	end := len(strings.TrimRightFunc(text, unicode.IsSpace))
	var clean strings.Builder
	for at, r := range text {
		if what := foreign(r, at >= end); what != "" {
			note(what)
			continue
		}
		clean.WriteRune(r)
	}
	return clean.String(), removed
}

// foreign names the kind of a character that cannot belong to a key.
func foreign(r rune, atEnd bool) string {
	switch {
	case r == '\uFEFF':
		return "byte-order-mark"
	case r == '\r':
		return "carriage-return"
	case r == '\n' && atEnd:
		return "trailing-newline"
	case r == '\n':
		return "newline"
	case strings.ContainsRune("\"'`“”‘’", r):
		return "quotes"
	case r == '\u200B' || r == '\u200C' || r == '\u200D' || r == '\u2060' || r == '\u00AD':
		return "zero-width"
	case unicode.IsSpace(r):
		return "white-space"
	case unicode.IsControl(r):
		return "control-character"
	}
	return ""
}

// decodeUTF16 undoes what PowerShell's `>` does to a text file.
func decodeUTF16(raw string, note func(string)) string {
	var high, low int
	switch {
	case strings.HasPrefix(raw, "\xff\xfe"):
		high, low = 1, 0
	case strings.HasPrefix(raw, "\xfe\xff"):
		high, low = 0, 1
	default:
		return raw
	}
	note("utf-16")
	var units []uint16
	for at := 2; at+1 < len(raw); at += 2 {
		units = append(units, uint16(raw[at+high])<<8|uint16(raw[at+low]))
	}
	return string(utf16.Decode(units))
}
