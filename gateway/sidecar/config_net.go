package main

import (
	"fmt"
	"strconv"
	"strings"

	"hearth.dev/meshlink/internal/linklocal"
)

const (
	mtuDefault = 1280 // Tailscale's own
	mtuMin     = 576
	mtuMax     = 1500
)

// NetConfig is what was said about the network below the tunnels.
type NetConfig struct {
	LinkLocal linklocal.Mode
	MTU       int // of packets inside the tailnet, bytes
	RACK      bool
	Bulk      BulkMode
	EchoHost  string // for which the home's ingress has POST /-/echo
}

func (r *configReader) net() NetConfig {
	return NetConfig{
		LinkLocal: linklocal.Mode(r.oneOf("MESH_LINKLOCAL_V4", "auto", "on", "off")),
		MTU:       r.mtu(),
		RACK:      r.oneOf("MESH_RACK", "on", "off") == "on",
		Bulk:      BulkMode(r.oneOf("MESH_BULK", "auto", "ping", "off")),
		EchoHost:  r.echoHost(),
	}
}

// oneOf returns the value, which must be one of choices; the first is the default.
func (r *configReader) oneOf(name string, choices ...string) string {
	value := r.value(name, choices[0])
	for _, choice := range choices {
		if value == choice {
			return value
		}
	}
	last := len(choices) - 1
	r.problem(name, value, "want "+strings.Join(choices[:last], ", ")+" or "+choices[last])
	return choices[0]
}

func (r *configReader) echoHost() string {
	value := r.value("MESH_ECHO_HOST", "vllm.home")
	if !hostName.MatchString(value) {
		r.problem("MESH_ECHO_HOST", value, "want the host name of the home's ingress")
	}
	return value
}

func (r *configReader) mtu() int {
	value := r.value("MESH_MTU", strconv.Itoa(mtuDefault))
	number, err := strconv.Atoi(value)
	if err != nil || number < mtuMin || number > mtuMax {
		r.problem("MESH_MTU", value, fmt.Sprintf("want bytes from %d to %d", mtuMin, mtuMax))
		return mtuDefault
	}
	return number
}
