package main

import (
	"strconv"
	"time"
)

const (
	peerWatchMin = 3
	peerWatchMax = 300
)

// peerWatch is how long a peer with open tunnels may show no sign of life.
func (r *configReader) peerWatch() time.Duration {
	value := r.value("MESH_PEER_WATCH_S", "12")
	number, err := strconv.Atoi(value)
	if err != nil || number < peerWatchMin || number > peerWatchMax {
		r.problem("MESH_PEER_WATCH_S", value, "want seconds from 3 to 300")
	}
	return time.Duration(number) * time.Second
}
