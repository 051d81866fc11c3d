package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// cures are what the lab can switch off, to show what each is good for.
var cures = map[string]bool{
	"normaliser": true, "reasons": true, "dial-retries": true, "freeze-detector": true,
	"peer-watch": true, "rejoin": true, "bulk": true, "rack": true,
}

// parseWithout reads --without NAME[,NAME]. Outside of the lab nothing can be
// switched off.
func parseWithout(value string, lab bool) (map[string]bool, error) {
	off := map[string]bool{}
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !cures[name] {
			return nil, fmt.Errorf("--without %q: want one of %s", name, strings.Join(slices.Sorted(maps.Keys(cures)), ", "))
		}
		off[name] = true
	}
	if len(off) > 0 && !lab {
		return nil, fmt.Errorf("--without %q: only with --lab", value)
	}
	return off, nil
}

// without says whether a cure is switched off.
func (c Config) without(cure string) bool { return c.Without[cure] }
