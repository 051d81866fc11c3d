package auth

import (
	"strings"
	"unicode"
	"unicode/utf16"
)

// Normalise removes what editors, shells and copy-paste add to a key, and names
// what it removed, each kind once. Nothing of that kind is ever part of a real
// key, and control planes answer to it with riddles. What is left is printable
// ASCII without quotes, and never longer than raw.
func Normalise(raw string) (key string, removed []string) {
	notes := &notes{}
	text := decodeUTF16(raw, notes)
	end := len(strings.TrimRightFunc(text, unicode.IsSpace))
	var clean strings.Builder
	for at := 0; at < len(text); {
		line := text[at:]
		if length := strings.IndexByte(line, '\n'); length >= 0 {
			line = line[:length+1]
		}
		normaliseLine(&clean, line, end-at, notes)
		at += len(line)
	}
	return clean.String(), notes.list
}

// normaliseLine appends what line holds of a key. White space from end on closes
// the whole text.
func normaliseLine(clean *strings.Builder, line string, end int, notes *notes) {
	afterSpace, inComment := true, false
	for at, r := range line {
		what := foreign(r, at >= end)
		inComment = inComment || r == '#' && afterSpace
		switch {
		case inComment && r != '\n':
			notes.add("comment")
		case what != "":
			notes.add(what)
			afterSpace = afterSpace || unicode.IsSpace(r)
		default:
			clean.WriteRune(r)
			afterSpace = false
		}
	}
}

// notes keeps each remark once, in order.
type notes struct{ list []string }

func (n *notes) add(what string) {
	for _, known := range n.list {
		if known == what {
			return
		}
	}
	n.list = append(n.list, what)
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
	case r > unicode.MaxASCII:
		return "not-ascii"
	}
	return ""
}

// decodeUTF16 undoes what PowerShell's `>` does to a text file.
func decodeUTF16(raw string, notes *notes) string {
	var high, low int
	switch {
	case strings.HasPrefix(raw, "\xff\xfe"):
		high, low = 1, 0
	case strings.HasPrefix(raw, "\xfe\xff"):
		high, low = 0, 1
	default:
		return raw
	}
	notes.add("utf-16")
	var units []uint16
	for at := 2; at+1 < len(raw); at += 2 {
		units = append(units, uint16(raw[at+high])<<8|uint16(raw[at+low]))
	}
	return string(utf16.Decode(units))
}
