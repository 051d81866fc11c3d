package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestAllowAllButLeavesOutExactlyTheDeniedPorts(t *testing.T) {
	for want, denied := range map[string][]uint16{
		"0-65535":             {},
		"0-79 81-65535":       {80},
		"0-79 82-65535":       {80, 81},
		"0-0 2-21 23-65535":   {22, 1},
		"0-65534":             {65535},
		"0-65533":             {65534, 65535},
		"0-65533 65535-65535": {65534},
	} {
		ports := map[uint16]bool{}
		for _, port := range denied {
			ports[port] = true
		}
		var ranges []string
		for _, allowed := range allowAllBut(ports)[0].DstPorts {
			ranges = append(ranges, fmt.Sprintf("%d-%d", allowed.Ports.First, allowed.Ports.Last))
		}
		if got := strings.Join(ranges, " "); got != want {
			t.Errorf("without %v: %s, want %s", denied, got, want)
		}
	}
}
